"""What must not be lost: Postgres, and what the gateway keeps there."""

import platform

from prometheus_client import CollectorRegistry

from services.gateway.audit.buffer import AuditBuffer
from services.gateway.audit.sinks import LogSink, Sink
from services.gateway.config import GatewayConfig
from services.gateway.tasks.metrics import TaskMetrics
from services.kit.health import Health


class Durable:
    """Lives as long as the process; `open` needs the event loop."""

    def __init__(self, config: GatewayConfig, health: Health, registry: CollectorRegistry) -> None:
        """Prepare; nothing is connected to yet."""
        self._replica = platform.node()
        self.database = None
        if config.postgres is not None:
            # The driver takes a tenth of a second to load.
            from services.kit.postgres.database import Database  # noqa: PLC0415 - as above

            self.database = Database(config.postgres, f"mcp-gateway {self._replica}", registry)
            # Without it, calls may have to be refused, but by an answer that says so.
            health.add_check("postgres", self.database.status, required=False)
        self.task_metrics = None if config.tasks is None else TaskMetrics(registry)
        self.audit = None if config.audit is None else self._audit(config, registry)

    async def open(self) -> None:
        """Get ready."""
        if self.database is not None:
            await self.database.open()

    async def close(self) -> None:
        """Write what isn't written yet, and close all connections."""
        if self.audit is not None:
            await self.audit.close()
        if self.database is not None:
            await self.database.close()

    def _audit(self, config: GatewayConfig, registry: CollectorRegistry) -> AuditBuffer:
        assert config.audit is not None  # noqa: S101 - the caller asked
        sink: Sink = LogSink(self._replica)
        if config.audit.sink == "postgres":
            from services.gateway.audit.postgres_sink import PostgresSink  # noqa: PLC0415 - loads the driver

            assert self.database is not None  # noqa: S101 - the configuration was checked
            sink = PostgresSink(self.database, self._replica)
        return AuditBuffer(config.audit, sink, self._replica, registry)
