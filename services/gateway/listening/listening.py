"""Answers `subscriptions/listen`: acknowledges, then tells of changes until the stream ends."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import msgspec

from services.gateway.access import READ_SCOPE, Access
from services.gateway.authorization import Kind
from services.gateway.call import Call
from services.gateway.errors import INVALID_PARAMS, HttpRefusal, RpcError
from services.gateway.fleet import Fleet
from services.gateway.listening.changes import Filter, acknowledgement, closing, filter_of
from services.gateway.listening.interest import Resource
from services.gateway.listening.metrics import ListeningMetrics
from services.gateway.listening.stream import End, Stream
from services.gateway.listening.streams import Streams
from services.gateway.listening.watcher import Watcher
from services.gateway.messages import DECODE_ERRORS, RawObject
from services.gateway.targets import Targets
from services.gateway.upstream_question import OnEvent

TICK_SECONDS: Final = 1.0

_filters: Final = msgspec.json.Decoder(Filter)


class Listening:
    """The method."""

    def __init__(
        self,
        fleet: Fleet,
        access: Access,
        targets: Targets,
        streams: Streams,
        watcher: Watcher,
        metrics: ListeningMetrics,
        idle: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Prepare.

        Args:
            fleet: the servers.
            access: looks at callers' rights again.
            targets: finds the servers of resources.
            streams: all that are open.
            watcher: listens to the servers.
            metrics: counts.
            idle: around what is open but no work.
        """
        self._fleet = fleet
        self._access = access
        self._targets = targets
        self._streams = streams
        self._watcher = watcher
        self._metrics = metrics
        self._idle = idle

    async def listen(self, call: Call) -> RawObject:
        """Tell `call` of changes; the result is the proper end.

        Raises:
            HttpRefusal: the caller takes no stream, or has as many as it may.
            RpcError: it listens to something that isn't there.
        """
        if call.on_event is None:
            raise HttpRefusal(406, "Accept must include text/event-stream", reason="accept")
        kinds, resources = self._read(call)
        stream = self._streams.open(call, kinds, resources)
        await self.hold(
            stream, call.on_event, lambda: acknowledgement(call.id, self._honored(kinds, resources))
        )
        return closing(call.id)

    async def hold(self, stream: Stream, send: OnEvent, first: Callable[[], bytes | None]) -> None:
        """Serve a stream until its end; `first` begins it once the servers are listened to."""
        try:
            with self._idle():
                await self._watcher.settle()
                await send(first())
                await self._serve(stream, send)
        finally:
            self._streams.close(stream)
            self._metrics.ended.labels(stream.ended or End.CLIENT).inc()

    async def watch(self) -> None:
        """Look after all streams until cancelled: one clock for all of them."""
        edition = self._access.edition
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if edition is not self._access.edition:
                edition = self._access.edition
                self._streams.check()
            self._streams.tick()

    def _read(self, call: Call) -> tuple[frozenset[Kind], dict[Resource, str]]:
        try:
            wanted = _filters.decode(call.params["notifications"])
        except (KeyError, *DECODE_ERRORS):
            message = f"{call.method} needs the parameter 'notifications' (a filter)"
            raise RpcError(INVALID_PARAMS, message) from None
        resources: dict[Resource, str] = {}
        for target in self._targets.all(call.method, call.params) or []:
            if self._fleet.get(target.server) is None or not target.name:
                raise target.unknown()
            resources[target.server, target.name] = target.qualified
        return wanted.kinds, resources

    def _honored(self, kinds: frozenset[Kind], resources: dict[Resource, str]) -> Filter:
        """What is acknowledged: lists, which we watch in any case, and resources that servers tell of."""
        heard = [
            written for (server, _), written in resources.items() if self._watcher.takes_resources(server)
        ]
        return filter_of(kinds, heard)

    async def _serve(self, stream: Stream, send: OnEvent) -> None:
        while True:
            await stream.wake.wait()
            stream.wake.clear()
            if stream.unchecked:
                await self._check(stream)
            if stream.ended is End.REVOKED:
                return
            for kind, notification in stream.take():
                await send(notification)
                stream.rest()
                self._metrics.sent.labels(kind).inc()
            if stream.ended:
                return
            if stream.silent:
                await send(None)
                stream.rest()

    async def _check(self, stream: Stream) -> None:
        """See what the caller may hear of by now; who lost the right to ask loses the stream."""
        stream.unchecked = False
        try:
            principal, view = await self._access.admit(stream.credentials)
            self._access.require(principal, {READ_SCOPE})
        except HttpRefusal:
            stream.end(End.REVOKED)
            return
        changed = not view.same_as(stream.view)
        stream.principal, stream.view = principal, view
        if changed:
            for kind in Kind:
                stream.list_changed(kind)
        if stream.renew is not None:
            await stream.renew(stream)
