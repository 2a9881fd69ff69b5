"""Listens to every endpoint of every server while anybody listens to us: one stream each for all callers."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Final

import aiohttp

from services.gateway.fleet import Fleet
from services.gateway.listening.changes import Change, changes_of
from services.gateway.listening.interest import Interest
from services.gateway.listening.subscription import Subscription

LOOK_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 2.0
"""The longest that a caller waits until servers are listened to; what happens till then it hears of later."""


class Watcher:
    """Keeps the subscriptions to servers equal to what is wanted of the servers that are there."""

    def __init__(
        self,
        fleet: Fleet,
        interest: Interest,
        connect_seconds: float,
        *,
        discovered: Callable[[], bool],
        approved: Callable[[], object],
        report: Callable[[Change], None],
    ) -> None:
        """Prepare.

        Args:
            fleet: the servers.
            interest: what is wanted of them.
            connect_seconds: for connecting to an endpoint.
            discovered: whether the fleet was complete for the first time; what comes before isn't a change.
            approved: what of the servers' lists may be shown: another object whenever that has changed.
            report: is told of changes.
        """
        self._fleet = fleet
        self._discovered = discovered
        self._approved = approved
        self._shown = approved()
        self._interest = interest
        self._report = report
        self._subscriptions: dict[tuple[str, str], Subscription] = {}
        self._known: dict[str, tuple[str, ...]] | None = None
        """The release of each server that was there at the last look."""
        self._connect_seconds = connect_seconds

    def begin(self) -> None:
        """Prepare for connections, of which there are none before the event loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=_socket),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds),
            auto_decompress=False,
            trust_env=False,
        )

    async def run(self) -> None:
        """Follow the fleet until cancelled."""
        while True:
            self._compare()
            self._interest.sweep()
            self.follow()
            await asyncio.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        """Stop listening."""
        await asyncio.gather(*(it.close() for it in self._subscriptions.values()))
        self._subscriptions.clear()
        await self._session.close()

    @property
    def open(self) -> int:
        """Streams that servers hold open for us."""
        return sum(it.open for it in self._subscriptions.values())

    def takes_resources(self, server: str) -> bool:
        """Whether, as far as we know, any endpoint of a server tells of its resources."""
        found = [it for (name, _), it in self._subscriptions.items() if name == server]
        return any(it.supported and it.resources for it in found) or not found

    def follow(self) -> None:
        """Want of each endpoint what is wanted now."""
        there: set[tuple[str, str]] = set()
        for name, server in self._fleet.servers.items():
            if wanted := self._interest.wanted(name):
                for url in server.endpoints:
                    there.add((name, url))
                    if (name, url) not in self._subscriptions:
                        self._subscriptions[name, url] = Subscription(self._session, name, url, self._report)
                    self._subscriptions[name, url].want(wanted)
        for key in self._subscriptions.keys() - there:
            gone = self._subscriptions.pop(key)
            asyncio.get_running_loop().create_task(gone.close())

    async def settle(self) -> None:
        """Have servers listened to by what is wanted now, as far as they let us within moments."""
        self._compare()  # what the fleet is now is what changes from here on are seen against
        self.follow()
        waited = [it for it in self._subscriptions.values() if not it.settled.is_set()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                for it in waited:
                    await it.settled.wait()
        for it in waited:
            it.missed = it.missed or not it.settled.is_set()

    def _compare(self) -> None:
        """Report the lists of servers that came, went, or are of another release since the last look."""
        if not self._discovered():
            return
        found = {name: server.release for name, server in self._fleet.servers.items() if server.endpoints}
        known, self._known = self._known, found
        shown, self._shown = self._shown, self._approved()
        if known is None:
            return
        for name in found.keys() | known.keys():
            now, before = found.get(name), known.get(name)
            # Empty where the release isn't known yet: learning it is no change.
            released = now is None or before is None or (now and before and now != before)
            if released or shown is not self._shown:
                for change in changes_of(name):
                    self._report(change)
            if before and now == ():
                found[name] = before


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket that notices when its peer vanishes without a word: such a stream may be silent for hours."""
    family, kind, protocol, *_ = address
    found = socket.socket(family, kind, protocol)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3)):
        found.setsockopt(socket.IPPROTO_TCP, option, value)
    return found
