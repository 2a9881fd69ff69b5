"""What a server's list of tools says about calling them: MCP's annotations."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal

import msgspec

from services.gateway.messages import DECODE_ERRORS, RawObject

MAX_AGE_SECONDS: Final = 300.0
"""After this a server is asked anew, in case it changed its mind without a new replica."""
UNLISTED_SECONDS: Final = 5.0
"""For so long a tool that isn't in the list isn't looked for again: callers choose the names."""


class Hints(msgspec.Struct, frozen=True):
    """A tool's annotations; None is what its server doesn't say."""

    read_only: bool | None = msgspec.field(default=None, name="readOnlyHint")
    destructive: bool | None = msgspec.field(default=None, name="destructiveHint")
    idempotent: bool | None = msgspec.field(default=None, name="idempotentHint")

    @property
    def repeatable(self) -> bool:
        """Whether calling it twice is no worse than once."""
        return bool(self.read_only or self.idempotent)

    def destroys(self, reading: Literal["explicit", "default"]) -> bool:
        """Whether it may destroy something; MCP's default is that what isn't read-only does."""
        if self.destructive is None:
            return reading == "default" and not self.read_only
        return self.destructive


UNSAID: Final = Hints()
CONTRADICTION: Final = Hints(destructive=True)
"""The worst reading: for annotations that aren't any, or that differ where a tool is listed twice."""

_decoder: Final = msgspec.json.Decoder(Hints)


def hints_of(tool: RawObject) -> Hints:
    """The annotations of a tool as its server lists it."""
    annotations = tool.get("annotations")
    if annotations is None or bytes(annotations) == b"null":
        return UNSAID
    try:
        return _decoder.decode(annotations)
    except DECODE_ERRORS:
        return CONTRADICTION


class KnownHints:
    """The hints of one server's tools, as its last list has them."""

    def __init__(self) -> None:
        self.tools: Mapping[str, Hints] | None = None
        """None until there was a list, and again once the server changed."""
        self.learned_at = 0.0
        self._asking = asyncio.Lock()
        self._asked_at = 0.0
        self._problem: str | None = None

    def learn(self, tools: Mapping[str, Hints]) -> None:
        """Take over what a list says."""
        self.tools = tools
        self.learned_at = time.monotonic()

    def forget(self) -> None:
        """The server may be another one now."""
        self.tools = None

    async def refresh(self, ask: Callable[[], Awaitable[str | None]]) -> str | None:
        """Let `ask` make the server list its tools; who waits for that meanwhile shares its outcome."""
        began = time.monotonic()
        async with self._asking:
            if self._asked_at < began:
                self._problem = await ask()
                self._asked_at = time.monotonic()
            return self._problem

    def fresh(self, tool: str) -> Hints | None:
        """What is known of a tool; None where the server must be asked."""
        if self.tools is None:
            return None
        age = time.monotonic() - self.learned_at
        if age > MAX_AGE_SECONDS:
            return None
        return self.tools.get(tool, UNSAID if age < UNLISTED_SECONDS else None)
