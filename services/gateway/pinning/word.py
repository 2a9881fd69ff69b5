"""A server's word for what its tools and prompts are: when it gave it, and what that means under a lock."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.gateway.fleet import Endpoint, Server
from services.gateway.pinning.approved import Approved, Reason
from services.gateway.pinning.listing import Key

SEEN_SECONDS: Final = 60.0
"""How long it counts what a server listed to a caller only."""

Wrong = dict[Key, tuple[Reason, str | None]]
"""What is withheld, why, and the digest of what is listed, where there is one."""


@dataclass(slots=True)
class Seen:
    """What was wrong with things of one kind when a server listed them to a caller."""

    at: float
    digests: Mapping[Key, str | None]


class Word:
    """Of one server."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._given_at = float("-inf")
        self._endpoints: dict[str, Endpoint] = {}
        """Those that have given it, and those that get no calls since they haven't."""
        self._compared: dict[str, Endpoint] | None = None
        self._digests: Mapping[Key, frozenset[str | None]] = {}
        """Of each definition that any replica lists."""
        self._seen: dict[str, Seen] = {}
        """By kind, from callers' lists: a server could tell callers something else than us."""
        self._approved: Approved | None = None
        self._reasons: dict[Key, Reason | None] = {}

    def take(
        self,
        given_at: float,
        endpoints: dict[str, Endpoint],
        digests: Mapping[Key, frozenset[str | None]],
    ) -> None:
        """Believe this from now on."""
        self._given_at, self._endpoints, self._digests = given_at, endpoints, digests
        self._compared, self._approved = None, None

    def note(self, kind: str, digests: Mapping[Key, str | None]) -> bool:
        """Take note of what was wrong with a caller's list; whether that is news."""
        before = self._seen.pop(kind, None)
        changed = digests != (before.digests if before else {})
        news = changed and any(it not in self._digests.get(key, ()) for key, it in digests.items())
        if digests:
            self._seen[kind] = Seen(time.monotonic(), digests)
        if news:
            self._given_at = float("-inf")
        return changed

    def age(self, server: Server) -> float:
        """Seconds since it was given by all replicas that get calls; infinite where one of them is new."""
        if server.endpoints is not self._compared:
            if any(self._endpoints.get(url) is not it for url, it in server.endpoints.items()):
                return float("inf")
            self._compared = server.endpoints
        return time.monotonic() - self._given_at

    def lists(self, key: Key) -> bool:
        """Whether there is such a thing at all."""
        return key in self._digests

    def reason(self, key: Key, approved: Approved) -> Reason | None:
        """Why something is withheld; None: it isn't, as far as the word goes."""
        if approved is not self._approved:
            self._approved, self._reasons = approved, {}
        if key not in self._reasons:
            digests = self._digests.get(key)
            self._reasons[key] = None if digests is None else approved.judge(self._server, *key, digests)
        return self._reasons[key] or self._seen_reason(key, approved)

    def wrong(self, approved: Approved) -> Wrong:
        """All that is withheld."""
        found: Wrong = {}
        for key, digests in self._digests.items():
            if reason := self.reason(key, approved):
                found[key] = (reason, next(iter(digests)) if len(digests) == 1 else None)
        for seen in self._seen.values():
            for key, digest in seen.digests.items():
                if reason := self._seen_reason(key, approved):
                    found.setdefault(key, (reason, digest))
        return found

    def _seen_reason(self, key: Key, approved: Approved) -> Reason | None:
        seen = self._seen.get(key[0])
        if seen is None or key not in seen.digests or time.monotonic() - seen.at > SEEN_SECONDS:
            return None
        return approved.judge(self._server, *key, (seen.digests[key],))
