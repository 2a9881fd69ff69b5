"""Which tools' results are kept: by the configuration, or by what a trusted server says of its tool."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, Literal

import msgspec

from services.gateway.config_cache import Cache as Settings
from services.gateway.messages import DECODE_ERRORS, RawObject

HINT: Final = "dev.mcp-platform/cache"
"""In the `_meta` of a tool: `{"ttlSeconds": 300, "scope": "principal" | "public"}`, each may be missing."""
DEFAULT_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Rule:
    """How the results of a tool are kept."""

    seconds: float
    public: bool


class _Hint(msgspec.Struct):
    ttl: float = msgspec.field(default=DEFAULT_SECONDS, name="ttlSeconds")
    scope: Literal["principal", "public"] = "principal"


class _Meta(msgspec.Struct):
    hint: _Hint | None = msgspec.field(default=None, name=HINT)


_meta: Final = msgspec.json.Decoder(_Meta)


class Rules:
    """Finds the rule of a tool."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._configured = lru_cache(maxsize=4096)(self._first_match)
        self._trusted = lru_cache(maxsize=1024)(self._is_trusted)

    def configured(self, qualified: str) -> Rule | None:
        """What the configuration says of the tool that callers know by this name."""
        return self._configured(qualified)

    def trusts(self, server: str) -> bool:
        """Whether what a server says of its tools counts."""
        return self._trusted(server)

    def hint(self, tool: RawObject) -> Rule | None:
        """What a server says of a tool in its list; None where it says nothing, or something else."""
        try:
            hint = _meta.decode(tool.get("_meta", b"{}")).hint
        except DECODE_ERRORS:
            return None
        if hint is None or hint.ttl <= 0:
            return None
        return Rule(min(hint.ttl, self._settings.max_ttl_seconds), hint.scope == "public")

    def _first_match(self, qualified: str) -> Rule | None:
        for it in self._settings.tools:
            if fnmatchcase(qualified, it.match):
                return Rule(it.ttl_seconds, it.scope == "public")
        return None

    def _is_trusted(self, server: str) -> bool:
        patterns = self._settings.trusted_servers if self._settings.max_ttl_seconds else ()
        return any(fnmatchcase(server, pattern) for pattern in patterns)
