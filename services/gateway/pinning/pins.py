"""Holds servers to what was approved: in lists, before every call, and when nobody asks."""

import asyncio
import time
from typing import Any, Final

from services.gateway.authorization import Kind
from services.gateway.config_pinning import Pinning
from services.gateway.errors import WITHHELD, RpcError, UpstreamError
from services.gateway.fleet import Endpoint, Fleet, Server
from services.gateway.messages import RawObject, raw
from services.gateway.metrics import GatewayMetrics
from services.gateway.names import Names
from services.gateway.pinning.approved import Reason
from services.gateway.pinning.listing import Digests, Key, Listing, Listings
from services.gateway.pinning.lock_file import LockFile
from services.gateway.pinning.withheld import Register
from services.gateway.pinning.word import Word
from services.gateway.targets import Target
from services.kit.logs import get_logger
from services.kit.metrics import ErrorType

AGAIN_SECONDS: Final = 1.0
"""A word that is younger isn't asked for again only because a list has things that are withheld."""
DUE_SECONDS: Final = 1.0
"""Between two looks whether a server is due."""
ROUNDS: Final = 3
"""How often a server whose replicas change meanwhile is asked for a call."""


class Pins:
    """Compares what servers list with the lock."""

    def __init__(
        self,
        settings: Pinning,
        lock: LockFile,
        fleet: Fleet,
        listings: Listings,
        names: Names,
        metrics: GatewayMetrics,
        register: Register,
    ) -> None:
        self._enforces = settings.mode == "enforce"
        self._fresh = settings.fresh_seconds
        self._watched = settings.watch_seconds
        self._kinds = frozenset({Kind.TOOL, Kind.PROMPT} if settings.prompts else {Kind.TOOL})
        self._lock = lock
        self._fleet = fleet
        self._listings = listings
        self._names = names
        self._metrics = metrics
        self._register = register
        self._digests = Digests()
        self._words: dict[str, Word] = {}
        self._asking: dict[str, asyncio.Task[RpcError | None]] = {}
        self._asked_at: dict[str, float] = {}

    async def admit(self, server: Server, target: Target) -> None:
        """Let a call of a tool, or a use of a prompt, through to its server.

        Raises:
            RpcError: it isn't what was approved, isn't listed, or the server doesn't tell.
        """
        if target.kind not in self._kinds:
            return
        age = self._age(server)
        if age > self._fresh and self._enforces:
            await self._ask_now(server)
        elif age > self._fresh / 2:
            self._ask_soon(server)
        if self._enforces:
            self._check(server.name, target)

    def sift(self, server: Server, kind: Kind, items: dict[str, RawObject]) -> dict[str, RawObject]:
        """What may be shown of a server's list, whose items are by their qualified names."""
        if kind not in self._kinds:
            return items
        word, approved = self._word(server.name), self._lock.approved
        wrong: dict[Key, str | None] = {}
        good: dict[str, Key] = {}
        for qualified, item in items.items():
            name = self._names.split(qualified)[1]
            key, digest = (kind.value, name), self._digests.of({**item, "name": raw(name)})
            if approved.judge(server.name, *key, (digest,)):
                wrong[key] = digest
            else:
                good[qualified] = key
        if word.note(kind.value, wrong):
            self._publish(server.name)
        shown = {name: items[name] for name, key in good.items() if word.reason(key, approved) is None}
        if len(shown) < len(items) and self._age(server) > AGAIN_SECONDS:
            self._ask_soon(server)  # the list and the word may differ, or the word may be old
        return shown if self._enforces else items

    async def watch(self) -> None:
        """Ask servers that nobody calls, and new ones at once, until cancelled."""
        while True:
            servers = self._fleet.servers
            for name in self._words.keys() - servers.keys():
                del self._words[name]
            self._register.keep_only(servers)
            for server in servers.values():
                if self._is_due(server):
                    self._ask_soon(server)
            await asyncio.sleep(DUE_SECONDS)

    def lock_changed(self) -> None:
        """Compare all words with the new lock."""
        for server in self._words:
            self._publish(server)

    def withheld(self) -> list[dict[str, Any]]:
        """Everything that is withheld (or in mode `warn`, would be), as JSON data."""
        return self._register.all()

    async def close(self) -> None:
        """Stop asking."""
        for task in [*self._asking.values()]:
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def _check(self, server: str, target: Target) -> None:
        word, key = self._words[server], (target.kind.value, target.name)
        if not word.lists(key):
            raise target.unknown()
        if reason := word.reason(key, self._lock.approved):
            self._metrics.violations.labels("withheld").inc()
            shown = target.qualified[:200]
            raise RpcError(
                WITHHELD,
                f"{shown} is withheld until somebody approves it: {_WORDS[reason]}",
                {"type": "withheld", "reason": str(reason), target.parameter: shown},
            )

    def _is_due(self, server: Server) -> bool:
        # One that doesn't answer isn't asked at every look.
        since = time.monotonic() - self._asked_at.get(server.name, float("-inf"))
        return self._age(server) > self._watched and since > min(self._fresh, self._watched)

    def _age(self, server: Server) -> float:
        word = self._words.get(server.name)
        return float("inf") if word is None else word.age(server)

    def _word(self, server: str) -> Word:
        if server not in self._words:
            self._words[server] = Word(server)
        return self._words[server]

    async def _ask_now(self, server: Server) -> None:
        for _ in range(ROUNDS):
            problem = await asyncio.shield(self._ask_soon(server))
            if problem is not None:
                raise problem
            if self._age(server) <= self._fresh:
                return
        raise UpstreamError(server.name, ErrorType.UNAVAILABLE, "changes faster than it can be checked")

    def _ask_soon(self, server: Server) -> asyncio.Task[RpcError | None]:
        """The one request for its lists that is under way; what went wrong is its result."""
        task = self._asking.get(server.name)
        if task is None:
            self._asked_at[server.name] = time.monotonic()
            task = self._asking[server.name] = asyncio.create_task(self._ask(server))
            task.add_done_callback(lambda _: self._asking.pop(server.name, None))
        return task

    async def _ask(self, server: Server) -> RpcError | None:
        began, endpoints = time.monotonic(), dict(server.endpoints)
        answers = await asyncio.gather(*(self._listing(server, it) for it in endpoints.values()))
        listings = [it for it in answers if isinstance(it, Listing)]
        problems = [it for it in answers if isinstance(it, RpcError)]
        if not listings:
            problem = problems[0] if problems else _no_replica(server)
            get_logger().warning("server doesn't tell its tools", server=server.name, reason=problem.message)
            return problem
        for endpoint, answer in zip(endpoints.values(), answers, strict=True):
            endpoint.trusted = not self._enforces or isinstance(answer, Listing)
        self._word(server.name).take(began, endpoints, self._digests_of(listings))
        self._publish(server.name)
        return None

    async def _listing(self, server: Server, endpoint: Endpoint) -> Listing | RpcError:
        try:
            return await self._listings.of(server, endpoint)
        except RpcError as error:
            return error

    def _digests_of(self, listings: list[Listing]) -> dict[Key, frozenset[str | None]]:
        found: dict[Key, set[str | None]] = {}
        for listing in listings:
            for key, definition in listing.definitions.items():
                found.setdefault(key, set()).add(self._digests.of(definition))
        return {key: frozenset(digests) for key, digests in found.items()}

    def _publish(self, server: str) -> None:
        approved = self._lock.approved
        wrong = self._words[server].wrong(approved)
        self._register.replace(
            server,
            {key: (reason, listed, approved.digest(server, *key)) for key, (reason, listed) in wrong.items()},
        )


_WORDS: Final = {
    Reason.CHANGED: "its definition has changed",
    Reason.ADDED: "it is new",
    Reason.SHADOWING: "it is new, and its name is like that of something else",
    Reason.MALFORMED: "its definition can be read in two ways",
}


def _no_replica(server: Server) -> UpstreamError:
    return UpstreamError(server.name, ErrorType.UNAVAILABLE, "has no ready replica", blames=False)
