"""The servers that are there now and the endpoints (replicas) of each."""

import asyncio
import itertools
import time
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from services.gateway.cache.rules import Rule
from services.gateway.config import Breaker as BreakerSettings
from services.gateway.tool_hints import KnownHints
from services.gateway.traffic.breaker import Breaker
from services.gateway.traffic.pool import Pool
from services.gateway.traffic.retries import RetryBudget
from services.kit.logs import get_logger

REST_SECONDS: Final = 5.0
"""How long an endpoint that refused a connection is the last choice."""

_turns = itertools.count()
_DEFAULTS: Final = BreakerSettings()


@dataclass(slots=True, eq=False)
class Endpoint:
    """One replica of a server."""

    url: str
    in_flight: int = 0
    last_turn: int = -1
    resting_until: float = 0.0
    failures: int = 0
    """In a row."""
    version: str | None = None
    """What it says it is; empty where it says nothing, None while it wasn't asked."""
    trusted: bool = True
    """False while it can't be told whether its tools are those that were approved."""

    @property
    def resting(self) -> bool:
        """Whether it is the last choice now."""
        return self.resting_seconds > 0

    @property
    def resting_seconds(self) -> float:
        """For how long it stays the last choice."""
        return max(0.0, self.resting_until - time.monotonic())

    def rest(self, seconds: float = REST_SECONDS) -> None:
        """Prefer other replicas for a while: this one can't be connected to, or keeps failing."""
        self.resting_until = time.monotonic() + seconds

    def failed(self, limit: int, seconds: float) -> None:
        """Count a failure; rest for `seconds` after `limit` in a row, and again after each one more."""
        self.failures += 1
        if self.failures >= limit:
            self.rest(seconds)
            get_logger().warning("endpoint ejected", endpoint=self.url, failures=self.failures)

    def answered(self) -> None:
        """It works."""
        self.failures = 0
        self.resting_until = 0.0


class Server:
    """A server by name, its ready endpoints, and how many requests to it may run at once."""

    def __init__(self, name: str, connections: int, breaker: BreakerSettings = _DEFAULTS) -> None:
        self.name = name
        self.breaker = Breaker(name, breaker)
        self.retries = RetryBudget()
        self.repeatable_tools: AbstractSet[str] = frozenset()
        """Those that its last list of tools calls read-only or idempotent."""
        self.cache_rules: Mapping[str, Rule] | None = None
        """What the server says of keeping its tools' results; None until this release listed them."""
        self.hints = KnownHints()
        self.task_tools: Mapping[str, str] = {}
        """Those that it declares as ones for tasks: optional or required."""
        self.endpoints: dict[str, Endpoint] = {}
        self.pool = Pool(connections)
        self.release: tuple[str, ...] = ()
        """Tells the programs behind the name from those before and after them: the versions of all endpoints,
        or where any says none, their addresses. Empty while nothing is known."""
        self.settled = False
        """Whether every endpoint has been asked for its version."""

    def pick(self, excluded: Collection[Endpoint] = (), *, only: Endpoint | None = None) -> Endpoint | None:
        """The replica with the least requests in flight, in turn among equals; None when none is left."""
        if only is not None:
            return None if only in excluded else only
        now = time.monotonic()
        candidates = [it for it in self.endpoints.values() if it.trusted and it not in excluded]
        if not candidates:
            return None
        best = min(candidates, key=lambda it: (it.resting_until > now, it.in_flight, it.last_turn))
        best.last_turn = next(_turns)
        return best

    def set_endpoints(self, urls: Collection[str]) -> None:
        """Make `urls` the ready endpoints; those that stay keep their state."""
        if set(urls) != set(self.endpoints):
            self.hints.forget()  # a new replica may be of a new version
        self.endpoints = {url: self.endpoints.get(url) or Endpoint(url) for url in sorted(urls)}
        self._set_release()

    def learn(self, endpoint: Endpoint, version: str) -> None:
        """Remember what an endpoint says it is; one that doesn't always say so keeps what it said."""
        if version != endpoint.version and (version or endpoint.version is None):
            endpoint.version = version
            self._set_release()

    def _set_release(self) -> None:
        versions = {it.version for it in self.endpoints.values()}
        self.settled = None not in versions
        told = sorted(it for it in versions if it is not None)
        release = tuple(self.endpoints) if "" in told else tuple(told)
        if release != self.release:
            get_logger().info("release changed", server=self.name, release=release, before=self.release)
            self.release = release
            self.cache_rules = None
            self.hints.forget()


class Fleet:
    """All servers; a discovery keeps it up to date, requests read it."""

    def __init__(self, connections_per_server: int, breaker: BreakerSettings = _DEFAULTS) -> None:
        self._connections = connections_per_server
        self._breaker = breaker
        self.servers: dict[str, Server] = {}
        self.changed = asyncio.Event()
        """Set whenever something was discovered; whoever waits for it clears it."""

    def get(self, name: str) -> Server | None:
        """The server of that name, if there is one."""
        return self.servers.get(name)

    def learn(self, name: str, url: str, version: str) -> None:
        """Remember what an endpoint of a server says it is, if both are still there."""
        server = self.servers.get(name)
        if server is not None and url in server.endpoints:
            server.learn(server.endpoints[url], version)

    def replace(self, found: Mapping[str, Collection[str]]) -> None:
        """Make `found` (server name → URLs of its ready endpoints, maybe none) what is there."""
        servers: dict[str, Server] = {}
        for name in sorted(found):
            server = self.servers.get(name) or Server(name, self._connections, self._breaker)
            before = set(server.endpoints)
            server.set_endpoints(found[name])
            servers[name] = server
            if before != set(server.endpoints) or name not in self.servers:
                get_logger().info("server changed", server=name, endpoints=sorted(server.endpoints))
        for name in self.servers.keys() - servers.keys():
            get_logger().info("server gone", server=name)
        self.servers = servers
        self.changed.set()
