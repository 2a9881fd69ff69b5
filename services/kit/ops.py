"""The app on the operations port: health for probes, metrics for Prometheus. Never exposed outside."""

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from services.kit.asgi import TEXT, App, Receive, Scope, Send, respond
from services.kit.conventions import LIVE_PATH, METRICS_PATH, READY_PATH, STARTED_PATH
from services.kit.health import OK, Health
from services.kit.version import VERSION

HEALTH_PATH = "/health"


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
            await answer_health(send, service, health)
        else:
            await respond(send, 404, b"not found\n", content_type=TEXT)

    return app


async def answer_health(send: Send, service: str, health: Health) -> None:
    """Run the checks and answer 200 when all required ones pass, else 503; both name every check."""
    checks = await health.run_checks()
    passed = all(result == OK or name in health.optional for name, result in checks.items())
    status = "ready" if passed else "unavailable"
    await _answer(
        send, {"status": status, "service": service, "version": VERSION, "checks": checks}, passed=passed
    )


async def _answer(send: Send, body: dict[str, object], *, passed: bool) -> None:
    await respond(
        send, 200 if passed else 503, msgspec.json.encode(body), headers=[(b"cache-control", b"no-store")]
    )
