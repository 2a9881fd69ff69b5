"""One caller's stream: what it wants, and what it hasn't been told yet."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from enum import StrEnum
from typing import Final, Self

from services.gateway.authorization import Kind, View
from services.gateway.call import Call, Era
from services.gateway.listening.changes import list_changed, resource_updated
from services.gateway.listening.interest import Resource
from services.kit.tokens import Principal

MAX_UNSENT: Final = 256
"""Resources that wait to be told of. Parts of a subscribed resource beyond that are told of as the whole."""


class End(StrEnum):
    """Why a stream ended; also the value of a metric's label."""

    CLIENT = "client"
    EXPIRED = "expired"
    REVOKED = "revoked"
    DRAINED = "drained"


class Stream:
    """An open stream. Others note on it what there is to do; the task that answers the request does it."""

    def __init__(
        self, call: Call, kinds: frozenset[Kind], resources: dict[Resource, str], keep_alive: float
    ) -> None:
        """Prepare.

        Args:
            call: the request to listen.
            kinds: the lists that are listened to.
            resources: the resources that are listened to, and how the caller writes each.
            keep_alive: seconds between signs of life.
        """
        self.id = call.id if call.era is Era.STATELESS else None
        self.credentials = call.credentials
        self.principal: Principal = call.principal
        self.view: View = call.view
        self.kinds = kinds
        self.resources = resources
        self.session: str | None = None
        """Whose stream it is in the older generation, …"""
        self.renew: Callable[[Self], Awaitable[None]] | None = None
        """… and what looks again at what that session subscribed to."""
        self.wake = asyncio.Event()
        self.ended: End | None = None
        self.unchecked = False
        """Whether the caller's rights are to be looked at anew."""
        self.silent = False
        """Whether a sign of life is due."""
        self._keep_alive = keep_alive
        self._lists: set[Kind] = set()
        self._updated: dict[str, None] = {}
        self.check_at = 0.0
        self._ping_at = 0.0
        self.rest()

    def rest(self) -> None:
        """Something was sent; the next sign of life is due a while after it."""
        self.silent = False
        self._ping_at = time.monotonic() + self._keep_alive

    def may_read(self, server: str, uri: str) -> bool:
        """Whether the caller may read a resource, as far as is known."""
        decision = self.view.decide(Kind.RESOURCE, server, uri)
        return decision.allowed and decision.scopes <= self.principal.scopes

    def list_changed(self, kind: Kind) -> None:
        """Tell of a list, if it is listened to."""
        if kind in self.kinds:
            self._lists.add(kind)
            self.wake.set()

    def updated(self, uri: str, subscribed: str) -> None:
        """Tell of a resource by the caller's URI; it is `subscribed` or a part of it."""
        self._updated[uri if len(self._updated) < MAX_UNSENT else subscribed] = None
        self.wake.set()

    def end(self, reason: End) -> None:
        """Close the stream properly; the first reason counts."""
        if self.ended is None:
            self.ended = reason
            self.wake.set()

    def check(self) -> None:
        """Have the caller's rights looked at."""
        self.unchecked = True
        self.wake.set()

    def tick(self, now: float) -> None:
        """Note a sign of life that is due by now."""
        if now >= self._ping_at:
            self.silent = True
            self.wake.set()

    def take(self) -> Iterator[tuple[Kind, bytes]]:
        """The notifications that are due, each removed as it is taken."""
        while self._lists:
            kind = self._lists.pop()
            yield kind, list_changed(self.id, kind)
        while self._updated:
            uri = next(iter(self._updated))
            del self._updated[uri]
            yield Kind.RESOURCE, resource_updated(self.id, uri)
