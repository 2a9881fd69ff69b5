"""`subscriptions/listen` as one part of the gateway: what it consists of, and what runs for it."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry

from services.gateway.access import Access
from services.gateway.background import Background
from services.gateway.call import Call
from services.gateway.config import GatewayConfig
from services.gateway.fleet import Fleet
from services.gateway.listening.bus import Bus, Forget
from services.gateway.listening.interest import Interest
from services.gateway.listening.listening import Listening
from services.gateway.listening.metrics import ListeningMetrics
from services.gateway.listening.older import OlderListening
from services.gateway.listening.sessions import Sessions
from services.gateway.listening.streams import Streams
from services.gateway.listening.watcher import Watcher
from services.gateway.messages import RawObject
from services.gateway.targets import Targets
from services.gateway.traffic.shared_store import SharedStore


class ListeningService:
    """Lives as long as the gateway."""

    def __init__(
        self,
        config: GatewayConfig,
        fleet: Fleet,
        access: Access,
        targets: Targets,
        store: SharedStore | None,
        registry: CollectorRegistry,
        *,
        discovered: Callable[[], bool],
        approved: Callable[[], object],
        forget: Forget,
        idle: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Prepare.

        Args:
            config: the whole configuration.
            fleet: the servers.
            access: looks at callers' rights.
            targets: finds the servers of resources.
            store: the way to other replicas; None without any.
            registry: for the metrics.
            discovered: whether the fleet was complete for the first time.
            approved: what of the servers' lists may be shown: another object whenever that has changed.
            forget: drops the kept lists, or reads, of a server.
            idle: around what is open but no work.
        """
        self._shared = store is not None
        interest = Interest()
        self._streams = Streams(config.subscriptions, interest)
        self._bus = Bus(store, self._streams, forget, registry)
        self._watcher = Watcher(
            fleet,
            interest,
            config.upstream.connect_seconds,
            discovered=discovered,
            approved=approved,
            report=self._bus.announce,
        )
        metrics = ListeningMetrics(registry, self._streams.__len__, lambda: self._watcher.open)
        self._listening = Listening(fleet, access, targets, self._streams, self._watcher, metrics, idle)
        sessions = Sessions(store, config.subscriptions.max_resources)
        self.older = OlderListening(self._listening, sessions, fleet, targets, self._streams, self._watcher)
        """For callers of the older generation."""

    def run(self, background: Background) -> None:
        """Begin what runs beside the requests."""
        self._watcher.begin()
        background.keep("watching the fleet", self._watcher.run)
        background.keep("looking after streams", self._listening.watch)
        if self._shared:
            background.keep("telling other replicas", self._bus.send)
            background.keep("hearing from other replicas", self._bus.receive)

    async def listen(self, call: Call) -> RawObject:
        """Answer the method."""
        return await self._listening.listen(call)

    def drain(self, seconds: float) -> None:
        """End all streams within `seconds`."""
        self._streams.drain(seconds)

    async def close(self) -> None:
        """Stop listening to servers."""
        await self._watcher.close()
