"""The app on the operations port: health for probes, metrics for Prometheus. Never exposed outside."""

from typing import Literal

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from services.kit.asgi import TEXT, App, Receive, Scope, Send, respond
from services.kit.conventions import LIVE_PATH, METRICS_PATH, READY_PATH, STARTED_PATH
from services.kit.health import OK, Health
from services.kit.version import VERSION

HEALTH_PATH = "/health"


class HealthReport(msgspec.Struct):
    """What a service says of its health; it names every check."""

    status: Literal["ready", "unavailable"]
    service: str
    version: str
    checks: dict[str, str]
    """Each with "ok" or what is wrong."""

    @property
    def passed(self) -> bool:
        """Whether requests should come here."""
        return self.status == "ready"


def ops_app(service: str, health: Health, registry: CollectorRegistry) -> App:
    """The ASGI app that answers `/health`, `/health/{live,ready,started}` and `/metrics`."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == METRICS_PATH:
            await respond(send, 200, generate_latest(registry), content_type=CONTENT_TYPE_LATEST.encode())
        elif path == LIVE_PATH:
            await _answer(send, {"status": "live"}, passed=True)
        elif path == STARTED_PATH:
            await _answer(
                send, {"status": "started" if health.started else "starting"}, passed=health.started
            )
        elif path in {READY_PATH, HEALTH_PATH}:
            report = await health_report(service, health)
            await _answer(send, report, passed=report.passed)
        else:
            await respond(send, 404, b"not found\n", content_type=TEXT)

    return app


async def health_report(service: str, health: Health) -> HealthReport:
    """Run the checks; ready when all required ones pass."""
    checks = await health.run_checks()
    passed = all(result == OK or name in health.optional for name, result in checks.items())
    return HealthReport("ready" if passed else "unavailable", service, VERSION, checks)


async def _answer(send: Send, body: object, *, passed: bool) -> None:
    await respond(
        send, 200 if passed else 503, msgspec.json.encode(body), headers=[(b"cache-control", b"no-store")]
    )
