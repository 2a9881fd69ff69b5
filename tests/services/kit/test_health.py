"""Health: what probes are told, and when."""

import asyncio
import json
from typing import Any

from services.kit.health import Health
from services.kit.metrics import new_registry
from services.kit.ops import ops_app


def get(health: Health, path: str) -> tuple[int, Any]:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    app = ops_app("demo", health, new_registry())
    asyncio.run(app({"type": "http", "path": path, "method": "GET"}, receive, send))
    body = sent[1]["body"]
    return sent[0]["status"], json.loads(body) if body.startswith(b"{") else body.decode()


def started() -> Health:
    health = Health()
    health.started = True
    return health


def test_alive_before_it_is_started_or_ready() -> None:
    health = Health()
    assert get(health, "/health/live") == (200, {"status": "live"})
    assert get(health, "/health/started") == (503, {"status": "starting"})
    status, body = get(health, "/health/ready")
    assert (status, body["checks"]) == (503, {"startup": "not finished"})


def test_started_and_ready() -> None:
    assert get(started(), "/health/started")[0] == 200
    status, body = get(started(), "/health")
    assert (status, body["status"], body["service"]) == (200, "ready", "demo")


def test_checks_are_named_and_any_can_fail_readiness() -> None:
    health = started()

    async def slow_but_fine() -> None:
        await asyncio.sleep(0)

    def broken() -> None:
        raise OSError("disk gone")

    health.add_check("database", slow_but_fine)
    health.add_check("cache", lambda: None)
    assert get(health, "/health/ready")[1]["checks"] == {"database": "ok", "cache": "ok"}
    health.add_check("queue", lambda: "not connected")
    health.add_check("disk", broken)
    status, body = get(health, "/health/ready")
    assert status == 503
    assert body["checks"]["queue"] == "not connected"
    assert body["checks"]["disk"] == "OSError: disk gone"
    assert get(health, "/health/live")[0] == 200


def test_a_check_that_hangs_fails() -> None:
    health = started()
    health.add_check("stuck", lambda: asyncio.sleep(60))
    status, body = get(health, "/health/ready")
    assert (status, body["checks"]) == (503, {"stuck": "no answer within 2 s"})


def test_draining_is_not_ready() -> None:
    health = started()
    health.draining = True
    assert get(health, "/health/ready")[0] == 503
    assert get(health, "/health/live")[0] == 200


def test_an_optional_check_is_reported_and_decides_nothing() -> None:
    health = started()
    health.add_check("cache", lambda: "away", required=False)
    status, body = get(health, "/health/ready")
    assert (status, body["status"], body["checks"]) == (200, "ready", {"cache": "away"})


def test_metrics_and_nothing_else() -> None:
    status, text = get(started(), "/metrics")
    assert status == 200
    assert "process_resident_memory_bytes" in text
    assert get(started(), "/other")[0] == 404
