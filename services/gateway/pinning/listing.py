"""What a single replica lists now, and the digests of it."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.gateway.access import ANYBODY
from services.gateway.authorization import UNRESTRICTED
from services.gateway.call import Call, Era
from services.gateway.errors import METHOD_NOT_FOUND, RpcError, UpstreamError
from services.gateway.fleet import Endpoint, Server
from services.gateway.list_pages import ListPages
from services.gateway.messages import DECODE_ERRORS, RawObject, decode_objects, decode_text, encode
from services.kit.metrics import ErrorType
from services.kit.pins import MalformedDefinitionError, digest_of, parse_definition

Key = tuple[str, str]
"""Kind, and the server's own name."""

MAX_REMEMBERED: Final = 10_000
_METHODS: Final = {"tools": "tools/list", "prompts": "prompts/list"}


class Digests:
    """Digests of definitions, remembered by the bytes that were digested before."""

    def __init__(self) -> None:
        self._known: dict[bytes, str | None] = {}

    def of(self, definition: RawObject) -> str | None:
        """The digest; None where the definition is malformed."""
        written = encode(definition)
        key = hashlib.sha256(written).digest()
        try:
            return self._known[key]
        except KeyError:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
        try:
            found = digest_of(parse_definition(written))
        except MalformedDefinitionError:
            found = None
        self._known[key] = found
        return found


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything that a replica lists."""

    endpoint: Endpoint
    definitions: Mapping[Key, RawObject]


class Listings:
    """Asks replicas what they list."""

    def __init__(self, pages: ListPages, kinds: tuple[str, ...], seconds: float) -> None:
        self._pages = pages
        self.kinds = kinds
        self._seconds = seconds

    async def of(self, server: Server, endpoint: Endpoint) -> Listing:
        """All kinds of one replica.

        Raises:
            RpcError: it doesn't answer with lists in time.
        """
        definitions: dict[Key, RawObject] = {}
        try:
            async with asyncio.timeout(self._seconds):
                for kind in self.kinds:
                    await self._add(definitions, server, endpoint, kind)
        except TimeoutError:
            problem = f"didn't list its tools within {self._seconds:g} s"
            raise UpstreamError(server.name, ErrorType.TIMEOUT, problem) from None
        except (KeyError, *DECODE_ERRORS):
            raise UpstreamError(
                server.name, ErrorType.BAD_RESPONSE, "answered with a list that isn't one"
            ) from None
        return Listing(endpoint, definitions)

    async def _add(
        self, definitions: dict[Key, RawObject], server: Server, endpoint: Endpoint, kind: str
    ) -> None:
        call = Call(0, _METHODS[kind], {}, {}, Era.STATELESS, ANYBODY, UNRESTRICTED)
        try:
            async for page in self._pages.of(server, call, kind, only=endpoint):
                for item in decode_objects(page[kind]):
                    definitions.setdefault((kind, decode_text(item["name"])), item)
        except RpcError as error:
            if error.code != METHOD_NOT_FOUND:  # it has no prompts, say
                raise
