"""A real Prometheus scrapes a real gateway with its stores, and answers every query of rules and panels."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from infra.cluster import packages, silent
from tests.infra.monitoring.example import STACK, groups, queries
from tests.infra.monitoring.known_metrics import OTHERS

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, RedisServer

    from tests.services.conftest import Store

EXPORTERS = {
    "prometheus-redis-exporter": ["prometheus-redis-exporter"],
    "prometheus-postgres-exporter": ["prometheus-postgres-exporter"],
}
NEVER_HERE = {
    # A series for each limit, from the first request on that exceeds it.
    "work: Too many requests, by limit",
}


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        answer = httpx2.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=20).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expr: str) -> list[Any]:
        return self.get("query", query=expr)["result"]


@contextmanager
def running(command: list[str | Path], log: Path, **environment: str) -> Generator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def exporters(folder: Path, redis: RedisServer, store: Store, ports: list[int]) -> Generator[None]:
    """Those that run beside the stores of a stack, with the same arguments."""
    (folder / "redis.json").write_text(json.dumps({f"redis://127.0.0.1:{redis.port}": redis.PASSWORD}))
    # Generated passwords have letters and digits only; the exporter can't do with blanks.
    role = f"watches_{store.name}"
    store.run(lambda it: it.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}' IN ROLE pg_monitor"))
    (folder / "postgres").write_text(role)
    of_redis = {
        "REDIS_ADDR": f"redis://127.0.0.1:{redis.port}",
        "REDIS_PASSWORD_FILE": str(folder / "redis.json"),
    }
    of_postgres = {
        "DATA_SOURCE_URI": f"127.0.0.1:{store.server.port}/{store.name}?sslmode=disable",
        "DATA_SOURCE_USER": role,
        "DATA_SOURCE_PASS_FILE": str(folder / "postgres"),
    }
    programs = [
        [name, f"--web.listen-address=127.0.0.1:{port}"] for name, port in zip(EXPORTERS, ports, strict=True)
    ]
    with (
        running([*programs[0]], folder / "redis-exporter.log", **of_redis),
        running([*programs[1]], folder / "postgres-exporter.log", **of_postgres),
    ):
        yield


def configuration(rules: Path, targets: dict[str, str]) -> dict[str, Any]:
    """What the operator makes of monitors and rules, but quicker."""
    labels = {"namespace": STACK.namespace, "service": "x", "endpoint": "ops", "container": "x"}
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {
                "job_name": "stack",
                "static_configs": [
                    {"targets": [address], "labels": {**labels, "job": job, "pod": f"{job}-1"}}
                    for job, address in targets.items()
                ],
            }
        ],
    }


@pytest.fixture
def watched(
    launcher: Launcher, redis_server: RedisServer, store: Store, tmp_path: Path
) -> Generator[tuple[Prometheus, Gateway]]:
    """A gateway in use, and a Prometheus that has scraped it for a while."""
    packages.ensure({"prometheus": ["prometheus"], **EXPORTERS}, silent, "this test")
    ports = [launcher.free_port() for _ in range(4)]
    server = launcher.server("echo", OPS_PORT=str(ports[0]))
    gateway = launcher.gateway(
        {
            "auth": "none",
            "servers": [{"name": "files", "urls": [server]}],
            "redis": redis_server.settings,
            "postgres": store.migrate().settings,
            "audit": {},
            "tasks": {},
            "cache": {"tools": [{"match": "files__add", "scope": "public"}]},
        }
    )
    (tmp_path / "rules.yaml").write_text(
        json.dumps({"groups": [{**group, "interval": "1s"} for group in groups()]})
    )
    targets = {
        "gateway": gateway.ops_url.removeprefix("http://"),
        **{
            job: f"127.0.0.1:{port}" for job, port in zip(("files", "redis", "postgres"), ports, strict=False)
        },
    }
    (tmp_path / "prometheus.yaml").write_text(json.dumps(configuration(tmp_path / "rules.yaml", targets)))
    address = f"127.0.0.1:{ports[3]}"
    command = [
        "prometheus",
        f"--config.file={tmp_path}/prometheus.yaml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address={address}",
    ]
    with (
        exporters(tmp_path, redis_server, store, ports[1:3]),
        running([*command], tmp_path / "prometheus.log"),
    ):
        yield Prometheus(f"http://{address}"), gateway


def use(gateway: Gateway) -> None:
    gateway.mcp("tools/list")
    gateway.mcp("tools/call", {"name": "files__add", "arguments": {"a": 1, "b": 2}})
    gateway.mcp("tools/call", {"name": "files__echo", "arguments": {"text": {}}})
    gateway.mcp("tools/list", headers={"Origin": "https://elsewhere.test"})


def asks_others(expr: str) -> bool:
    """Whether a query is about what a cluster's kubelet or kube-state-metrics report."""
    return any(f"{name}{{" in expr for name in OTHERS if name != "up")


def test_every_query_is_answered_by_a_prometheus_that_scrapes_real_services(
    watched: tuple[Prometheus, Gateway],
) -> None:
    prometheus, gateway = watched
    panels = [query for query in queries() if ": " in query.place and not asks_others(query.expr)]
    empty: set[str] = set()

    def only_what_never_happens_here_is_missing() -> bool:
        use(gateway)
        empty.clear()
        empty.update(it.place for it in panels if not prometheus.query(it.expr))
        return empty <= NEVER_HERE

    def answering() -> set[str]:
        return {item["metric"]["job"] for item in prometheus.query("up == 1")}

    def rules() -> list[Any]:
        return [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]

    gateway.wait_for(lambda: accepting(prometheus), "Prometheus", 60)
    try:
        gateway.wait_for(only_what_never_happens_here_is_missing, "figures", 60)
    finally:
        assert empty == NEVER_HERE
    # A scrape has a second, in which a busy machine may not answer.
    gateway.wait_for(lambda: answering() == {"gateway", "files", "redis", "postgres"}, "all that is scraped")
    assert len(rules()) > 30
    gateway.wait_for(lambda: all(rule["health"] == "ok" for rule in rules()), "rules that are all evaluated")
    firing = {rule["name"] for rule in rules() if rule.get("state") == "firing"}
    assert "McpServiceDown" not in firing


def accepting(prometheus: Prometheus) -> bool:
    try:
        return httpx2.get(f"{prometheus.url}/-/ready").status_code == 200
    except httpx2.TransportError:
        return False
