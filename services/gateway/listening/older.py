"""How callers of the older generation hear of changes: on the stream of a GET, one for each session."""

from typing import Final

from services.gateway.authorization import Kind
from services.gateway.call import Call
from services.gateway.errors import INVALID_PARAMS, INVALID_REQUEST, HttpRefusal, RpcError
from services.gateway.fleet import Fleet
from services.gateway.listening.interest import Resource
from services.gateway.listening.listening import Listening
from services.gateway.listening.sessions import Sessions, session_key
from services.gateway.listening.stream import Stream
from services.gateway.listening.streams import Streams
from services.gateway.listening.watcher import Watcher
from services.gateway.messages import RawObject, raw
from services.gateway.targets import Target, Targets
from services.gateway.upstream_question import OnEvent
from services.kit.logs import get_logger

SUBSCRIBE: Final = "resources/subscribe"
UNSUBSCRIBE: Final = "resources/unsubscribe"


class OlderListening:
    """The stream, and the methods that say what comes on it besides changes of lists, which always do."""

    def __init__(
        self,
        listening: Listening,
        sessions: Sessions,
        fleet: Fleet,
        targets: Targets,
        streams: Streams,
        watcher: Watcher,
    ) -> None:
        """Prepare.

        Args:
            listening: serves streams.
            sessions: what each session subscribed to.
            fleet: the servers.
            targets: finds the servers of resources.
            streams: all that are open.
            watcher: listens to the servers.
        """
        self._listening = listening
        self._sessions = sessions
        self._fleet = fleet
        self._targets = targets
        self._streams = streams
        self._watcher = watcher

    async def hear(self, call: Call, send: OnEvent) -> None:
        """Tell a session of changes until the stream ends.

        Raises:
            HttpRefusal: its id is none of ours, or there are as many streams as there may be.
        """
        session = session_key(call)
        if session is None:
            raise HttpRefusal(400, "Mcp-Session-Id is none that initialize answered", reason="session")
        stream = self._streams.open(call, frozenset(Kind), {})
        stream.session, stream.renew = session, self._renew
        try:
            await self._look(stream)
        except BaseException:  # such as the caller's leaving meanwhile
            self._streams.close(stream)
            raise
        await self._listening.hold(stream, send, lambda: None)

    async def subscribe(self, call: Call) -> RawObject:
        """Answer `resources/subscribe`: from now on the session's stream tells of the resource.

        Raises:
            HttpRefusal: too many resources of its server are listened to.
            RpcError: there is no session or no such resource, its server doesn't tell of changes, the session
                has as many as it may, or Redis is away.
        """
        session, target = self._named(call)
        if self._fleet.get(target.server) is None or not target.name:
            raise target.unknown()
        await self._sessions.add(session, target.qualified)
        try:
            for stream in self._streams.of_session(session):
                await self._look(stream)
                await self._watcher.settle()
            self._require_telling(target.server)
        except (HttpRefusal, RpcError):
            await self._sessions.remove(session, target.qualified)
            raise
        return {}

    async def unsubscribe(self, call: Call) -> RawObject:
        """Answer `resources/unsubscribe`; what wasn't subscribed to is no error.

        Raises:
            RpcError: there is no session, or Redis is away.
        """
        session, target = self._named(call)
        await self._sessions.remove(session, target.qualified)
        for stream in self._streams.of_session(session):
            await self._look(stream)
        return {}

    def _require_telling(self, server: str) -> None:
        if not self._watcher.takes_resources(server):
            raise RpcError(INVALID_PARAMS, f"server {server!r} doesn't tell of changes of its resources")

    def _named(self, call: Call) -> tuple[str, Target]:
        session = session_key(call)
        if session is None:
            raise RpcError(
                INVALID_REQUEST, f"{call.method} needs the Mcp-Session-Id that initialize answered"
            )
        (target,) = self._targets.all(call.method, call.params) or []
        return session, target

    async def _renew(self, stream: Stream) -> None:
        """Look again at what a session wants, which another replica may have been told.

        What is new may have changed until now, so it is told of.
        """
        before = stream.resources
        try:
            await self._look(stream)
        except HttpRefusal as refusal:
            get_logger().warning("a session isn't told of all it subscribed to", reason=refusal.message)
        if added := stream.resources.keys() - before.keys():
            await self._watcher.settle()
            for server, uri in added:
                if stream.may_read(server, uri):
                    written = stream.resources[server, uri]
                    stream.updated(written, written)

    async def _look(self, stream: Stream) -> None:
        """Have a stream listen to what its session wants; while Redis is away, to what it did."""
        try:
            uris = await self._sessions.of(stream.session or "")
        except RpcError:
            return
        resources: dict[Resource, str] = {}
        for uri in uris:
            for target in self._targets.all(SUBSCRIBE, {"uri": raw(uri)}) or []:
                if self._fleet.get(target.server) is not None:
                    resources[target.server, target.name] = uri
        if resources != stream.resources:
            self._streams.change(stream, resources)
