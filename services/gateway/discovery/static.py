"""Servers that are named by hand: each replica is asked regularly whether it is there."""

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp
from prometheus_client import Counter

from services.gateway.config import StaticServer, Upstream
from services.gateway.discovery.introduction import NotThereError, introduce, probing_session
from services.gateway.fleet import Fleet
from services.kit.logs import get_logger

FAILURES_TO_LEAVE: Final = 2
"""Probes in a row that a replica must fail before it gets no more requests."""

AWAY_PROBE_SECONDS: Final = 1.0


class StaticDiscovery:
    """Probes every replica with `server/discover`; those that answer are ready."""

    def __init__(
        self, servers: Sequence[StaticServer], settings: Upstream, fleet: Fleet, errors: Counter
    ) -> None:
        self._servers = servers
        self._settings = settings
        self._fleet = fleet
        self._errors = errors
        self._failures: dict[str, int] = {}
        self._versions: dict[str, str] = {}
        """What each replica said last."""
        self._synced = False

    def problem(self) -> str | None:
        """Until every replica was asked once."""
        return None if self._synced else "the first round of probes isn't over"

    async def run(self) -> None:
        """Probe in rounds until cancelled."""
        urls = sorted({url for server in self._servers for url in server.urls})
        async with probing_session(self._settings.connect_seconds) as session:
            while True:
                await asyncio.gather(*(self._probe(session, url) for url in urls))
                self._publish()
                self._synced = True
                await asyncio.sleep(self._pause(urls))

    def _publish(self) -> None:
        self._fleet.replace({it.name: [url for url in it.urls if self._ready(url)] for it in self._servers})
        for server in self._servers:
            for url in server.urls:
                if url in self._versions:
                    self._fleet.learn(server.name, url, self._versions[url])

    def _pause(self, urls: Sequence[str]) -> float:
        """Until the next round; shorter while a replica is away, so that it is back soon after it is back."""
        seconds = self._settings.probe_seconds
        return seconds if all(self._ready(url) for url in urls) else min(seconds, AWAY_PROBE_SECONDS)

    def _ready(self, url: str) -> bool:
        return self._failures[url] < FAILURES_TO_LEAVE

    async def _probe(self, session: aiohttp.ClientSession, url: str) -> None:
        try:
            self._versions[url] = await introduce(session, url)
        except NotThereError as error:
            self._note(url, str(error))
        else:
            self._note(url, "")

    def _note(self, url: str, problem: str) -> None:
        if not problem:
            self._failures[url] = 0
            return
        # The very first probe decides alone: a replica that was never there isn't ready.
        self._failures[url] = self._failures.get(url, FAILURES_TO_LEAVE - 1) + 1
        self._errors.inc()
        if self._failures[url] == FAILURES_TO_LEAVE:
            get_logger().warning("replica doesn't answer", url=url, reason=problem)
