"""What the streams of this replica want to hear of, together: each thing once, however many want it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from services.gateway.authorization import Kind

LINGER_SECONDS: Final = 10.0
"""How long something stays wanted when its last stream has gone: most callers listen again at once."""

_Key = TypeVar("_Key")

Resource = tuple[str, str]
"""A server's name and its own URI."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of one server."""

    kinds: frozenset[Kind]
    uris: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.kinds or self.uris)


@dataclass(slots=True)
class _Use:
    count: int = 0
    idle_since: float = 0.0


class Interest:
    """Counts who wants what."""

    def __init__(self) -> None:
        self._kinds: dict[Kind, _Use] = {}
        self._resources: dict[str, dict[str, _Use]] = {}

    def add(self, kinds: Iterable[Kind], resources: Iterable[Resource]) -> None:
        """A stream wants this."""
        for kind in kinds:
            self._kinds.setdefault(kind, _Use()).count += 1
        for server, uri in resources:
            self._resources.setdefault(server, {}).setdefault(uri, _Use()).count += 1

    def remove(self, kinds: Iterable[Kind], resources: Iterable[Resource]) -> None:
        """A stream that wanted this has gone."""
        now = time.monotonic()
        uses = [self._kinds[kind] for kind in kinds]
        uses += [self._resources[server][uri] for server, uri in resources]
        for use in uses:
            use.count -= 1
            use.idle_since = now

    def sweep(self) -> None:
        """Forget what nobody has wanted for a while."""
        self._kinds = _swept(self._kinds)
        resources = {server: _swept(uses) for server, uses in self._resources.items()}
        self._resources = {server: uses for server, uses in resources.items() if uses}

    def wanted(self, server: str) -> Wanted:
        """What is wanted of a server."""
        return Wanted(frozenset(self._kinds), frozenset(self._resources.get(server, ())))

    def more(self, server: str, uris: Iterable[str]) -> int:
        """How many resources of a server would be wanted if these were, too."""
        return len(self._resources.get(server, {}).keys() | set(uris))


def _swept(uses: dict[_Key, _Use]) -> dict[_Key, _Use]:
    """Without those that were idle for long."""
    before = time.monotonic() - LINGER_SECONDS
    return {key: use for key, use in uses.items() if use.count or use.idle_since > before}
