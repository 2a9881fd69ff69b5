"""The gateway's ASGI app: which path is answered by what, and what lives as long as the process."""

import asyncio
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from services.gateway.access import Access, trust_of
from services.gateway.approval import Approvals, SingleUse
from services.gateway.asking import Asker
from services.gateway.audit.trail import Trail
from services.gateway.authorization import PolicyFile
from services.gateway.background import Background
from services.gateway.cache.hinted import HintedCache
from services.gateway.cache.reads import ReadCache
from services.gateway.cache.response_cache import ResponseCache
from services.gateway.cache.rules import Rules
from services.gateway.cache.tools import ToolCache
from services.gateway.config import GatewayConfig
from services.gateway.config_auth import Auth
from services.gateway.content.filtering import ContentFilter
from services.gateway.discovery import Discovery, discovery_for
from services.gateway.dispatch import routes
from services.gateway.durable import Durable
from services.gateway.endpoint import McpEndpoint
from services.gateway.fleet import Fleet
from services.gateway.fleet_metrics import FleetCollector
from services.gateway.forward import Forwarder
from services.gateway.guard import Guard
from services.gateway.issuers import Issuers
from services.gateway.list_pages import ListPages
from services.gateway.list_parts import PartReader
from services.gateway.listening.service import ListeningService
from services.gateway.lists import Lists
from services.gateway.metrics import GatewayMetrics
from services.gateway.names import Names, PlainNames, PrefixedNames
from services.gateway.permission import Permission
from services.gateway.pinning.assembly import PinBoard
from services.gateway.sealing import Sealer
from services.gateway.search.definition import NAME as SEARCH
from services.gateway.search.tool_search import ToolSearch
from services.gateway.session import LogLevels
from services.gateway.targets import Targets
from services.gateway.tracing import tracer_for
from services.gateway.traffic.limits import Limiter
from services.gateway.traffic.shared_store import SharedStore
from services.gateway.traffic.shedding import Shedder
from services.gateway.upstream import Upstreams
from services.gateway.web import reading
from services.gateway.web.admin import breakers, cache, limits, pins, reload, servers
from services.gateway.web.openapi.document import with_document
from services.gateway.web.operation import Operation
from services.gateway.web.router import Router
from services.gateway.web.status import figures, page
from services.kit.asgi import Receive, Scope, Send, answer_lifespan
from services.kit.conventions import MCP_PATH
from services.kit.health import Health
from services.kit.version import VERSION

if TYPE_CHECKING:
    from services.gateway.tasks.methods import TaskMethods  # loads the driver of Postgres

SERVICE: Final = "gateway"


class GatewayApp:
    """The app; discovery and connections begin with the server's lifespan and end with it."""

    def __init__(self, config: GatewayConfig, health: Health, registry: CollectorRegistry) -> None:
        """Prepare; nothing is connected to yet.

        Raises:
            DiscoveryError: discovery can't begin here.
            KeyFileError: an issuer's key can't be used.
            LockError: the tool lock can't be used.
            PinKeyError: a key that signs it can't be used.
            PolicyError: the policy can't be used.
            StateKeyError: a key for callers' state can't be used.
        """
        self._config = config
        self._health = health
        self._registry = registry
        self._metrics = GatewayMetrics(registry)
        self._fleet = Fleet(config.upstream.connections_per_server, config.upstream.breaker)
        registry.register(FleetCollector(self._fleet))
        self._guard = Guard(config)
        auth = config.auth if isinstance(config.auth, Auth) else None
        self._policy = self._read_policy(auth)
        self._issuers = None if auth is None else Issuers(auth, self._metrics.key_errors)
        self._access = Access(auth, self._issuers, self._policy)
        self._store = None if config.redis is None else SharedStore(config.redis, registry)
        if self._store is not None:
            health.add_check("redis", self._store.status, required=False)
        self._sealer = Sealer.from_files(config.state.key_files)
        self._limiter = Limiter(config.limits, self._store, registry)
        made_by = f"{VERSION} {config.names} {config.content.model_dump_json()}"
        self._cache = ResponseCache(config.cache, self._store, registry, made_by)
        self._shedder = Shedder(config.overload, registry)
        self.door = self._shedder.door(MCP_PATH.encode())
        """Refuses requests to the endpoint that there is no time for."""
        self._tracer = tracer_for(config.tracing, SERVICE, self._metrics.lost_spans)
        self._background = Background()
        self._durable = Durable(config, health, registry)
        self._content = ContentFilter(config.content, registry)
        self._pins = PinBoard(config.pinning, self._metrics, registry)
        self._discovery: Discovery = discovery_for(config, self._fleet, self._metrics)
        health.add_check("discovery", self._discovery.problem)
        self._listening = self._listening_service(registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or run the lifespan."""
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send, startup=self._start, shutdown=self._stop)
        elif scope["path"] == MCP_PATH:
            await self._mcp(scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    def drain(self, seconds: float) -> None:
        """Send away, within `seconds`, callers whose requests would never end."""
        if self._listening is not None:
            self._listening.drain(seconds)

    def count_large_head(self) -> None:
        """A request was refused before any of it came here."""
        self._metrics.violations.labels("header_size").inc()

    def _listening_service(self, registry: CollectorRegistry) -> ListeningService | None:
        if not self._config.subscriptions.max_streams:
            return None
        return ListeningService(
            self._config,
            self._fleet,
            self._access,
            Targets(names_of(self._config)),
            self._store,
            registry,
            discovered=lambda: self._discovery.problem() is None,
            approved=lambda: self._pins.edition,
            forget=self._cache.purge,
            idle=self._shedder.idle,
        )

    def _read_policy(self, auth: Auth | None) -> PolicyFile | None:
        settings = self._config.authorization
        if settings is None:
            return None
        return PolicyFile(
            settings.policy_file,
            trust_of(auth),
            seconds=settings.reload_seconds,
            reloads=self._metrics.policy_reloads,
        )

    async def _start(self) -> None:
        self._upstreams = Upstreams(self._config.upstream)
        names = names_of(self._config)
        seconds = self._config.upstream.list_seconds
        list_pages = ListPages(self._upstreams, self._content, seconds)
        self._pins.start(self._fleet, list_pages, names, seconds, self._background)
        targets = Targets(names, () if self._config.search is None else {SEARCH})
        rules, hinted = Rules(self._config.cache), HintedCache(self._cache)
        reader = PartReader(names, rules)
        self._lists = Lists(self._fleet, list_pages, self._metrics, self._config, reader, hinted, self._pins)
        tools = ToolCache(self._cache, rules, self._lists.learn)
        reads = ReadCache(hinted)
        forwarder = Forwarder(
            *(self._fleet, self._upstreams, self._metrics, names, self._lists),
            *(tools, reads, self._content, self._pins, self._approvals()),
        )
        permission = Permission(self._access, targets, self._metrics)
        if self._listening is not None:
            self._listening.run(self._background)
        levels = LogLevels()
        await self._durable.open()
        audit = self._config.audit
        trail = Trail(self._durable.audit, targets, reads=audit is not None and audit.reads)
        endpoint = McpEndpoint(
            self._guard,
            self._access,
            self._limiter,
            permission,
            routes(
                forwarder,
                self._lists,
                levels,
                self._listening,
                self._tasks(forwarder, permission, trail, targets),
                self._search(),
            ),
            self._metrics,
            Asker(self._config.requests.input_seconds),
            levels,
            trail,
            self._tracer,
            self._config.requests.deadline_seconds,
            None if self._listening is None else self._listening.older,
        )
        pages = reading.operations(SERVICE, self._health, self._access, self._config, self._lists)
        pages += figures.operations(SERVICE, self._health, self._fleet, self._registry)
        pages += page.operations(token_needed=self._issuers is not None)
        pages += self._admin_operations()
        self._pages = Router(
            with_document(pages),
            self._guard,
            self._access,
            self._limiter,
            self._metrics,
            trail,
            self._config.requests.deadline_seconds,
        )
        self._mcp = self._shedder.around(endpoint)
        self._background.keep("discovery", self._discovery.run)
        self._background.keep("measuring the lag", self._shedder.watch)
        if self._issuers is not None and self._issuers.fetches:
            self._background.keep("fetching keys", self._issuers.run)
        if self._policy is not None:
            self._background.keep("watching the policy", self._policy.watch)
        if self._durable.audit is not None:
            self._background.keep("writing the audit stream", self._durable.audit.run)
        if self._store is not None:
            self._background.keep("watching redis", self._store.watch)
            self._background.keep("following the caches of others", self._cache.run)

    def _admin_operations(self) -> list[Operation]:
        reloads = [] if self._policy is None else [reload.of_policy(self._policy)]
        if self._issuers is not None:
            reloads.append(reload.of_keys(self._issuers))
        return [
            *servers.operations(self._fleet),
            *breakers.operations(self._fleet),
            *cache.operations(self._cache, self._fleet),
            *limits.operations(self._config.limits, self._limiter, self._store),
            *pins.operations(self._pins),
            *reload.operations([*reloads, reload.of_lock(self._pins)]),
        ]

    def _search(self) -> ToolSearch | None:
        settings = self._config.search
        if settings is None:
            return None
        return ToolSearch(settings, self._lists, self._config.lists.max_ttl_ms, self._metrics)

    def _approvals(self) -> Approvals:
        settings = self._config.approval
        used = SingleUse(self._store, settings.without_redis)
        return Approvals(settings, self._sealer, used, self._lists, self._metrics)

    def _tasks(
        self, forwarder: Forwarder, permission: Permission, trail: Trail, targets: Targets
    ) -> "TaskMethods | None":
        self._runner = None
        settings, durable = self._config.tasks, self._durable
        if settings is None or durable.database is None or durable.task_metrics is None:
            return None
        from services.gateway.tasks import opening  # noqa: PLC0415 - loads the driver of Postgres

        around = opening.Surroundings(
            forwarder=forwarder,
            access=self._access,
            permission=permission,
            trail=trail,
            fleet=self._fleet,
            lists=self._lists,
            targets=targets,
            health=self._health,
            metrics=durable.task_metrics,
        )
        methods, self._runner = opening.open_tasks(settings, durable.database, around)
        self._background.keep("carrying out tasks", self._runner.run)
        return methods

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.finish(self._config.drain_seconds)
        await self._background.stop()
        await self._pins.stop()
        if self._listening is not None:
            await self._listening.close()
        await self._upstreams.close()
        await self._durable.close()
        if self._store is not None:
            await self._store.close()
        await asyncio.to_thread(self._tracer.close)


def names_of(config: GatewayConfig) -> Names:
    """How the configuration wants callers to see servers' names."""
    if config.names == "plain" and config.only_server is not None:
        return PlainNames(config.only_server)
    return PrefixedNames()
