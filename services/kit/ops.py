"""The app on the operations port: health for probes, metrics for Prometheus. Never exposed outside."""

from typing import Final, Literal

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from services.kit.asgi import TEXT, App, Receive, Scope, Send, respond
from services.kit.conventions import LIVE_PATH, METRICS_PATH, READY_PATH, STARTED_PATH
from services.kit.health import OK, Health
from services.kit.version import VERSION

HEALTH_PATH: Final = "/health"
OPS_PATHS: Final = (HEALTH_PATH, LIVE_PATH, READY_PATH, STARTED_PATH, METRICS_PATH)

_METHODS: Final = ("GET", "HEAD")


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


class Phase(msgspec.Struct):
    """Where in its life a service is."""

    status: Literal["live", "starting", "started"]


def ops_app(service: str, health: Health, registry: CollectorRegistry) -> App:
    """The ASGI app that answers `OPS_PATHS`."""

    async def metrics(send: Send) -> None:
        await respond(send, 200, generate_latest(registry), content_type=CONTENT_TYPE_LATEST.encode())

    async def live(send: Send) -> None:
        await _answer(send, Phase("live"), passed=True)

    async def started(send: Send) -> None:
        await _answer(send, Phase("started" if health.started else "starting"), passed=health.started)

    async def ready(send: Send) -> None:
        report = await health_report(service, health)
        await _answer(send, report, passed=report.passed)

    pages = dict(zip(OPS_PATHS, (ready, live, ready, started, metrics), strict=True))

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        page = pages.get(scope["path"])
        if page is None:
            await respond(send, 404, b"not found\n", content_type=TEXT)
        elif scope["method"] not in _METHODS:
            allow = (b"allow", ", ".join(_METHODS).encode())
            await respond(send, 405, b"only GET\n", content_type=TEXT, headers=[allow])
        else:
            await page(send)

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
