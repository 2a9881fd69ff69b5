"""All open streams of this replica: who may open one, who is told of a change, and when each must end."""

import asyncio
import random
import time
from collections import Counter as Counts
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from services.gateway.authorization import Kind
from services.gateway.call import Call
from services.gateway.config_subscriptions import Subscriptions
from services.gateway.errors import INTERNAL_ERROR, INVALID_PARAMS, RATE_LIMITED, HttpRefusal, RpcError
from services.gateway.listening.changes import Change
from services.gateway.listening.interest import Interest, Resource
from services.gateway.listening.stream import End, Stream

CHECK_SECONDS: Final = 30.0
"""How long after a token or its keys were withdrawn a stream may still be open."""

DRAIN_SHARE: Final = 0.6
"""The part of the drain time over which streams are ended: others are to come in between, and to finish."""


class Streams:
    """The open streams."""

    def __init__(self, settings: Subscriptions, interest: Interest) -> None:
        self._settings = settings
        self._interest = interest
        self._open: set[Stream] = set()
        self._by_caller: Counts[tuple[str, str]] = Counts()
        self._by_resource: dict[Resource, set[Stream]] = {}
        self._ends_at: float | None = None
        """When the last stream ends, once draining has begun."""

    def __len__(self) -> int:
        return len(self._open)

    def open(self, call: Call, kinds: frozenset[Kind], resources: dict[Resource, str]) -> Stream:
        """A new stream for a caller.

        Raises:
            HttpRefusal: it would be one too many, or the gateway is about to end.
            RpcError: it wants too many resources.
        """
        self._admit(call, resources)
        stream = Stream(call, kinds, resources, self._settings.keep_alive_seconds * random.uniform(0.7, 1))  # noqa: S311 - spreads the signs of life
        self._open.add(stream)
        self._by_caller[_caller(stream)] += 1
        for resource in resources:
            self._by_resource.setdefault(resource, set()).add(stream)
        self._interest.add(kinds, resources)
        stream.check_at = time.monotonic() + CHECK_SECONDS
        if self._ends_at is not None:
            _end_before(self._ends_at, stream)
        return stream

    def close(self, stream: Stream) -> None:
        """Forget a stream."""
        self._open.remove(stream)
        caller = _caller(stream)
        self._by_caller[caller] -= 1
        if not self._by_caller[caller]:
            del self._by_caller[caller]
        self._unlist(stream, stream.resources)
        self._interest.remove(stream.kinds, stream.resources)

    def change(self, stream: Stream, resources: dict[Resource, str]) -> None:
        """Have a stream, if it is still open, listen to other resources.

        Raises:
            HttpRefusal: they would be too many; nothing is changed.
        """
        if stream not in self._open:
            return
        added, removed = (
            resources.keys() - stream.resources.keys(),
            stream.resources.keys() - resources.keys(),
        )
        self._check_room(added)
        for resource in added:
            self._by_resource.setdefault(resource, set()).add(stream)
        self._unlist(stream, removed)
        self._interest.add((), added)
        self._interest.remove((), removed)
        stream.resources = resources

    def of_session(self, session: str) -> list[Stream]:
        """Those of one session of the older generation."""
        return [stream for stream in self._open if stream.session == session]

    def renew(self, session: str) -> None:
        """What a session subscribed to has changed, at another replica."""
        for stream in self.of_session(session):
            stream.check()

    def tell(self, change: Change) -> None:
        """Note a change on every stream that wants to hear of it and may."""
        if change.uri:
            self._tell_of_resource(change)
            return
        sees: dict[int, bool] = {}
        for stream in self._open:
            view = stream.view
            if id(view) not in sees:
                sees[id(view)] = view.sees(change.server, change.kind)
            if sees[id(view)]:
                stream.list_changed(change.kind)

    def wants(self, change: Change) -> bool:
        """Whether any stream could be told of this."""
        if not change.uri:
            return bool(self._open)
        return any((change.server, uri) in self._by_resource for uri in _wholes(change.uri))

    def tick(self) -> None:
        """Find out whose time is over, and who hasn't heard of us for long."""
        now, clock = time.monotonic(), time.time()
        for stream in self._open:
            if clock >= stream.principal.expires_at:
                stream.end(End.EXPIRED)
            elif now >= stream.check_at:
                stream.check_at = now + CHECK_SECONDS
                stream.check()
            stream.tick(now)

    def check(self) -> None:
        """Look at everybody's rights: the policy changed."""
        for stream in self._open:
            stream.check()

    def drain(self, seconds: float) -> None:
        """End all streams, spread over a part of `seconds`; those that are opened meanwhile, too."""
        self._ends_at = time.monotonic() + seconds * DRAIN_SHARE
        for stream in self._open:
            _end_before(self._ends_at, stream)

    def _admit(self, call: Call, resources: dict[Resource, str]) -> None:
        settings = self._settings
        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            raise _refusal(503, "this replica is about to end; listen again", "draining")
        if len(self._open) >= settings.max_streams:
            raise _refusal(503, f"there are {settings.max_streams} streams already", "streams")
        caller = call.principal.issuer, call.principal.subject
        if self._by_caller[caller] >= settings.max_streams_per_principal:
            most = settings.max_streams_per_principal
            raise _refusal(429, f"you have {most} streams already", "streams_principal")
        if len(resources) > settings.max_resources:
            raise RpcError(INVALID_PARAMS, f"more than {settings.max_resources} resourceSubscriptions")
        self._check_room(resources)

    def _check_room(self, resources: Collection[Resource]) -> None:
        for server in {server for server, _ in resources}:
            uris = [uri for name, uri in resources if name == server]
            if self._interest.more(server, uris) > self._settings.max_resources_per_server:
                raise _refusal(503, f"too many resources of {server!r} are listened to", "resources")

    def _unlist(self, stream: Stream, resources: Iterable[Resource]) -> None:
        for resource in resources:
            self._by_resource[resource].remove(stream)
            if not self._by_resource[resource]:
                del self._by_resource[resource]

    def _tell_of_resource(self, change: Change) -> None:
        told: set[Stream] = set()
        for whole in _wholes(change.uri):
            for stream in self._by_resource.get((change.server, whole), set()) - told:
                if stream.may_read(change.server, change.uri):
                    written = stream.resources[change.server, whole]
                    stream.updated(written + change.uri.removeprefix(whole), written)
                    told.add(stream)


def _wholes(uri: str) -> Iterator[str]:
    """The URI itself, and those that it may be a part of: `a:/b/c` is a part of `a:/b/` and of `a:/b`."""
    yield uri
    end = len(uri)
    while (end := uri.rfind("/", 0, end)) > 0:
        if end + 1 < len(uri):
            yield uri[: end + 1]
        yield uri[:end]


def _end_before(time_of_end: float, stream: Stream) -> None:
    """Send a caller away at some time before that, lest all come to the other replicas at once."""
    delay = random.uniform(0, max(0.0, time_of_end - time.monotonic()))  # noqa: S311 - no secret
    asyncio.get_running_loop().call_later(delay, stream.end, End.DRAINED)


def _caller(stream: Stream) -> tuple[str, str]:
    return stream.principal.issuer, stream.principal.subject


def _refusal(status: int, message: str, reason: str) -> HttpRefusal:
    return HttpRefusal(
        status,
        message,
        reason=f"limit_{reason}",
        code=RATE_LIMITED if status == 429 else INTERNAL_ERROR,  # noqa: PLR2004 - HTTP's own number
        headers=((b"retry-after", b"1"),),
        violation=False,
    )
