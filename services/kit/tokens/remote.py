"""Keys that an issuer publishes: fetched from one configured address, kept up to date in the background.

The address is the configuration's; nothing in a token or an answer leads anywhere else, and redirects aren't
followed. While the issuer can't be reached, its last keys stay in use for `keep_seconds`.
"""

import asyncio
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from prometheus_client import Counter

from services.kit.logs import get_logger
from services.kit.tokens.keys import IssuerKey, KeySetError, keys_of_set

FETCH_SECONDS: Final = 3.0
MAX_BYTES: Final = 256 * 1024
ON_DEMAND_SECONDS: Final = 10.0
"""Tokens with keys that we don't know can make us fetch once in this time; anybody can write such tokens."""
BACKOFF_SECONDS: Final = (1.0, 30.0)
"""First and longest wait after a failure."""

_FAILURES: Final = (
    aiohttp.ClientError,
    OSError,
    TimeoutError,
    KeySetError,
    msgspec.DecodeError,
    RecursionError,
    ValueError,
)
"""What asking a stranger for JSON may raise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyAddress:
    """Where an issuer publishes its keys, and for how long they are good."""

    issuer: str
    url: str
    refresh_seconds: float
    keep_seconds: float
    """How long the last keys stay in use while the issuer can't be reached."""
    ca_file: Path | None = None
    """Who signs the address's certificate; the system's authorities where it is None."""
    token_file: Path | None = None
    """Our own bearer token for the address, read anew each time."""


class RemoteKeys:
    """One issuer's keys; hands them to `publish` whenever they change."""

    def __init__(
        self,
        address: KeyAddress,
        publish: Callable[[tuple[IssuerKey, ...]], None],
        errors: Counter,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._publish = publish
        self._errors = errors
        self._now = now
        self._keys: tuple[IssuerKey, ...] = ()
        self._fetched = self._asked = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._failures = 0
        self._problem: str | None = None
        """Of the last fetch."""

    async def run(self) -> None:
        """Fetch again and again until cancelled."""
        while True:
            await self._fetch_together()
            self._drop_old()
            await asyncio.sleep(self._pause())

    async def refresh(self) -> None:
        """Fetch at once, for a token whose key isn't known; does nothing when that was done just now."""
        running = self._fetching is not None and not self._fetching.done()
        if running or self._now() - self._asked >= ON_DEMAND_SECONDS:
            await self._fetch_together()

    async def fetch(self) -> str | None:
        """Fetch at once, because an operator says so; returns what went wrong, if anything did."""
        await self._fetch_together()
        return self._problem

    async def _fetch_together(self) -> None:
        """Fetch, or wait for the fetch that is under way; a caller that leaves doesn't end it for others."""
        if self._fetching is None or self._fetching.done():
            self._asked = self._now()
            self._fetching = asyncio.create_task(self._fetch())
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                keys = keys_of_set(self._address.issuer, await self._read())
        except _FAILURES as error:
            self._failures += 1
            self._errors.labels(self._address.issuer).inc()
            self._problem = f"{type(error).__name__}: {error}"
            get_logger().warning("keys not fetched", issuer=self._address.issuer, reason=self._problem)
            return
        self._failures = 0
        self._problem = None
        self._fetched = self._now()
        self._replace(keys)

    async def _read(self) -> object:
        headers = {"Accept": "application/json, application/jwk-set+json"}
        if self._address.token_file is not None:
            token = self._address.token_file.read_text(encoding="ascii").strip()
            headers["Authorization"] = f"Bearer {token}"
        tls = True
        if self._address.ca_file is not None:
            tls = ssl.create_default_context(cafile=self._address.ca_file)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls), trust_env=False) as session,
            session.get(self._address.url, headers=headers, allow_redirects=False) as response,
        ):
            if response.status != 200:  # noqa: PLR2004 - HTTP's own number
                raise KeySetError(f"answered HTTP {response.status}")
            content = await _bounded(response)
        return msgspec.json.decode(content)

    def _replace(self, keys: tuple[IssuerKey, ...]) -> None:
        if keys == self._keys:
            return
        self._keys = keys
        self._publish(keys)
        ids = [key.key_id for key in keys]
        get_logger().info("keys changed", issuer=self._address.issuer, key_ids=ids)

    def _drop_old(self) -> None:
        if self._keys and self._now() - self._fetched > self._address.keep_seconds:
            get_logger().error("keys too old", issuer=self._address.issuer)
            self._replace(())

    def _pause(self) -> float:
        """Seconds until the next fetch, not the same for all replicas."""
        first, longest = BACKOFF_SECONDS
        pause = self._address.refresh_seconds
        if self._failures:
            pause = min(pause, longest, first * 2 ** min(self._failures - 1, 10))
        return pause * random.uniform(0.8, 1)  # noqa: S311 - no secret


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    chunks = bytearray()
    async for chunk in response.content.iter_any():
        chunks += chunk
        if len(chunks) > MAX_BYTES:
            raise KeySetError(f"answered with more than {MAX_BYTES} bytes")
    return bytes(chunks)
