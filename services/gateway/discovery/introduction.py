"""Asks a single replica whether it is there, and what it says it is."""

import asyncio
from typing import Final

import aiohttp
import msgspec

from services.gateway.eras import CAPABILITIES_KEY, CLIENT_INFO_KEY, IMPLEMENTATION, VERSION_KEY
from services.gateway.fleet import Fleet
from services.gateway.messages import DECODE_ERRORS, decode_incoming, encode
from services.gateway.upstream_headers import JSON_TYPE, PROTOCOL_VERSION, upstream_headers
from services.gateway.versions import version_of

MAX_BYTES: Final = 256 * 1024
"""Of an answer that is read; a server's instructions may be long."""
SECONDS: Final = 2.0
RETRY_SECONDS: Final = 1.0

_METHOD: Final = "server/discover"
_META: Final = {VERSION_KEY: PROTOCOL_VERSION, CLIENT_INFO_KEY: IMPLEMENTATION, CAPABILITIES_KEY: {}}
_PROBE: Final = encode({"jsonrpc": "2.0", "id": 0, "method": _METHOD, "params": {"_meta": _META}})


class NotThereError(Exception):
    """The replica doesn't answer as a server does; the message says how."""


def probing_session(seconds: float) -> aiohttp.ClientSession:
    """For probes, each on a connection of its own: a kept one may end just when it is used again."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        timeout=aiohttp.ClientTimeout(total=seconds),
        trust_env=False,
    )


async def introduce(session: aiohttp.ClientSession, url: str) -> str:
    """The version that the replica says it is; empty where it says none.

    Any answer in JSON means that it is there; a server that is overloaded says 5xx.

    Raises:
        NotThereError: there is no such answer.
    """
    try:
        headers = upstream_headers(_METHOD, None, {})
        async with session.post(url, data=_PROBE, headers=headers, allow_redirects=False) as response:
            if response.status >= 500 or response.content_type != JSON_TYPE:  # noqa: PLR2004 - HTTP's own number
                raise NotThereError(f"HTTP {response.status} {response.content_type}")
            return _version_in(await _beginning(response))
    except TimeoutError:
        raise NotThereError("no answer in time") from None
    except (aiohttp.ClientError, OSError) as error:
        raise NotThereError(f"{type(error).__name__}: {error}") from None


class Introductions:
    """Asks replicas that were discovered, but haven't been asked yet, what they are."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def run(self) -> None:
        """Ask until cancelled."""
        async with probing_session(SECONDS) as session:
            while True:
                self._fleet.changed.clear()
                await asyncio.gather(
                    *(
                        self._ask(session, name, url)
                        for name, server in self._fleet.servers.items()
                        for url, endpoint in server.endpoints.items()
                        if endpoint.version is None
                    )
                )
                if all(server.settled for server in self._fleet.servers.values()):
                    await self._fleet.changed.wait()
                else:
                    await asyncio.sleep(RETRY_SECONDS)

    async def _ask(self, session: aiohttp.ClientSession, server: str, url: str) -> None:
        try:
            version = await introduce(session, url)
        except NotThereError:
            return  # its own probes and the calls that fail tell of it; it is asked again
        self._fleet.learn(server, url, version)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > MAX_BYTES:
            return b""
    return bytes(content)


def _version_in(answer: bytes) -> str:
    try:
        result = decode_incoming(answer).result
    except DECODE_ERRORS:
        return ""
    return version_of(result) if not isinstance(result, msgspec.UnsetType) else ""
