"""Real collectors with the rendered configurations: what comes out, and what becomes of it in bad times."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Counter

from infra.settings.telemetry import Backend
from services.kit.traces import Tracing
from tests.infra.monitoring import known_metrics
from tests.infra.telemetry import certificates
from tests.infra.telemetry.example import STACK, backend, of_logs, of_traces
from tests.infra.telemetry.otelcol import NODE, Otelcol, wait_for
from tests.infra.telemetry.sink import Sink

pytestmark = pytest.mark.timeout(1800)  # the first time, the collector is built

GATEWAY = "mcp-dev_gateway-6d4b75cb6d-x2x9z_0f0e4fd2-9f1c-4f0a-8a51-6b2c0e9d8f11/gateway/0.log"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
LINE = {
    "event": "request",
    "level": "warning",
    "service": "gateway",
    "time": "2026-11-21T20:00:00.123456Z",
    "request_id": "r-1",
    "user": "ada",
    "trace_id": TRACE,
    "span_id": SPAN,
    "status": 200,
    "error": {"type": "ValueError", "message": "no"},
}

Start = Callable[[Otelcol], Otelcol]


@pytest.fixture
def sink() -> Generator[Sink]:
    found = Sink()
    yield found
    found.close()


@pytest.fixture
def start() -> Generator[Start]:
    started: list[Otelcol] = []

    def begin(collector: Otelcol) -> Otelcol:
        started.append(collector)
        collector.start()
        return collector

    yield begin
    for collector in started:
        collector.kill()


@pytest.fixture
def span() -> Generator[Callable[[Otelcol, str], None]]:
    """Has a service's own exporter send a span."""
    lost = Counter("lost", "Spans that were not delivered.", registry=None)
    open_: dict[str, Tracing] = {}

    def send(to: Otelcol, name: str) -> None:
        if to.endpoint not in open_:
            open_[to.endpoint] = Tracing("gateway", to.endpoint, 1, lost)
        with open_[to.endpoint].provider.get_tracer("test").start_as_current_span(name):
            pass

    yield send
    for tracing in open_.values():
        tracing.close()


EVERYTHING: dict[str, Any] = {
    "token": {"name": "backend", "key": "token"},
    "token_header": "X-Api-Key",
    "token_scheme": "",
    "headers": {"X-Scope-OrgID": "tenant"},
}


def test_the_collector_itself_has_nothing_against_any_configuration(tmp_path: Path) -> None:
    plain = backend("http://tempo:4318")
    whole = backend("https://tempo:4318", ca=certificates.make(tmp_path).authority, **EVERYTHING)
    assert of_traces(tmp_path / "1", plain).validate() == ""
    assert of_traces(tmp_path / "2", whole, keep=0.25).validate() == ""
    assert of_logs(tmp_path / "3", plain).validate() == ""
    assert of_logs(tmp_path / "4", whole).validate() == ""


def test_the_collector_says_what_is_wrong(tmp_path: Path) -> None:
    wrong = of_traces(tmp_path, backend("http://tempo:4318"))
    file = tmp_path / "traces" / "config" / "collector.yaml"
    file.write_text(file.read_text().replace("queue_size", "queue_sise"))
    assert "queue_sise" in wrong.validate()


def test_a_services_span_arrives_with_where_it_is_from(
    tmp_path: Path, sink: Sink, start: Start, span: Callable[[Otelcol, str], None]
) -> None:
    headers = {"X-Scope-OrgID": "pay$me"}
    collector = start(of_traces(tmp_path, backend(sink.url, headers=headers)))
    span(collector, "one")
    (found,) = wait_for(lambda: sink.named("one"), "span")
    expected = {
        "service.name": "gateway",
        "service.namespace": "mcp-platform",
        "deployment.environment.name": "dev",
        "k8s.namespace.name": STACK.namespace,
    }
    assert expected.items() <= found.resource.items()
    assert found.resource["service.instance.id"]
    assert found.headers["x-scope-orgid"] == "pay$me"
    assert "authorization" not in found.headers
    assert collector.stop() == 0


def test_spans_outlast_a_backend_that_is_away(
    tmp_path: Path, sink: Sink, start: Start, span: Callable[[Otelcol, str], None]
) -> None:
    collector = start(of_traces(tmp_path, backend(sink.url)))
    sink.status = 503
    for number in range(20):
        span(collector, f"kept-{number}")
    wait_for(lambda: collector.count("otelcol_receiver_accepted_spans_total") == 20, "accepted spans")
    wait_for(lambda: sink.requests >= 2, "second try")
    assert sink.items == []
    assert collector.count("otelcol_exporter_queue_size") > 0
    sink.status = 200
    wait_for(lambda: len(sink.items) >= 20, "kept spans")
    assert sorted(item.text for item in sink.items) == sorted(f"kept-{number}" for number in range(20))


def test_all_replicas_keep_the_same_share_of_the_traces(
    tmp_path: Path, sink: Sink, start: Start, span: Callable[[Otelcol, str], None]
) -> None:
    one = start(of_traces(tmp_path / "1", backend(sink.url), keep=0.5))
    for number in range(200):
        span(one, f"{number}")
    wait_for(lambda: one.count("otelcol_exporter_sent_spans_total") > 0, "sent spans")
    wait_for(lambda: one.count("otelcol_receiver_accepted_spans_total") == 200, "accepted spans")
    assert one.stop() == 0
    assert 50 < len(sink.items) < 150


def test_credentials_go_by_tls_and_are_read_again_when_they_change(
    tmp_path: Path, start: Start, span: Callable[[Otelcol, str], None]
) -> None:
    made = certificates.make(tmp_path)
    sink = Sink(made.server)
    to = backend(sink.url, ca=made.authority, token={"name": "backend", "key": "token"})
    collector = of_traces(tmp_path, to)
    (collector.secrets / "token").write_text("first")
    start(collector)
    span(collector, "one")
    (one,) = wait_for(lambda: sink.named("one"), "span")
    assert one.headers["authorization"] == "Bearer first"
    (collector.secrets / "token").write_text("second")
    wait_for(lambda: _sent_with(sink, collector, span) == "Bearer second", "new token")
    assert "first" not in collector.log
    assert "second" not in collector.log
    sink.close()


def _sent_with(sink: Sink, collector: Otelcol, span: Callable[[Otelcol, str], None]) -> str:
    sink.items.clear()
    span(collector, "again")
    return wait_for(lambda: sink.named("again"), "span")[0].headers["authorization"]


def test_a_backend_that_nobody_vouches_for_gets_nothing(
    tmp_path: Path, start: Start, span: Callable[[Otelcol, str], None]
) -> None:
    sink = Sink(certificates.make(tmp_path / "its").server)
    (tmp_path / "ours").mkdir()
    to = backend(sink.url, ca=certificates.make(tmp_path / "ours").authority)
    collector = start(of_traces(tmp_path, to))
    span(collector, "secret")
    wait_for(lambda: "certificate signed by unknown authority" in collector.log, "refusal")
    assert sink.items == []
    sink.close()


def test_a_log_line_arrives_as_a_record_of_its_pod_and_trace(
    tmp_path: Path, sink: Sink, start: Start
) -> None:
    collector = of_logs(tmp_path, backend(sink.url))
    collector.write(GATEWAY, json.dumps(LINE))
    start(collector)
    (found,) = wait_for(lambda: sink.named("request"), "record")
    assert (found.trace_id, found.raw.span_id.hex()) == (TRACE, SPAN)
    assert (found.raw.severity_text, found.raw.severity_number) == ("warning", 13)
    assert found.raw.time_unix_nano == 1795291200123456000
    assert {"request_id": "r-1", "user": "ada", "status": 200}.items() <= found.facts.items()
    assert {"time", "level", "trace_id", "span_id", "event", "logtag"}.isdisjoint(found.facts)
    expected = {
        "service.name": "gateway",
        "service.namespace": "mcp-platform",
        "deployment.environment.name": "dev",
        "k8s.namespace.name": "mcp-dev",
        "k8s.pod.name": "gateway-6d4b75cb6d-x2x9z",
        "k8s.container.name": "gateway",
        "k8s.node.name": NODE,
    }
    assert expected.items() <= found.resource.items()


def test_lines_of_others_stay_as_they_are(tmp_path: Path, sink: Sink, start: Start) -> None:
    collector = of_logs(tmp_path, backend(sink.url))
    place = "mcp-dev_weather-1_0f0e/weather/3.log"
    odd = [
        '{"broken": ',
        '{"time": "noon", "level": 7, "trace_id": "x"}',
        "plain $text",
        "[1, 2]",
        '{"event": "theirs"}',
    ]
    collector.write(place, *odd)
    file = collector.logs / place
    with file.open("a") as log:
        log.write("2026-01-02T03:04:05Z stdout P half a \n2026-01-02T03:04:05Z stdout F line\n")
    start(collector)
    wait_for(lambda: len(sink.items) >= 6, "all lines")
    assert sorted(item.text for item in sink.items) == sorted([*odd, "half a line"])
    assert {it.resource["service.name"] for it in sink.items} == {"weather"}


def test_nobody_claims_to_be_another_pod(tmp_path: Path, sink: Sink, start: Start) -> None:
    collector = of_logs(tmp_path, backend(sink.url))
    claim = {
        "event": "forged",
        "service": "gateway",
        "k8s.pod.name": "gateway-1",
        "log.file.path": "elsewhere",
    }
    collector.write("mcp-dev_weather-1_0f0e/weather/0.log", json.dumps(claim))
    start(collector)
    (found,) = wait_for(lambda: sink.named("forged"), "record")
    assert (found.resource["service.name"], found.resource["k8s.pod.name"]) == ("weather", "weather-1")


def test_only_the_stacks_own_namespace_is_read(tmp_path: Path, sink: Sink, start: Start) -> None:
    collector = of_logs(tmp_path, backend(sink.url))
    for namespace in ("mcp-dev2", "logs-mcp-dev", "kube-system", "xmcp-dev"):
        collector.write(f"{namespace}_pod-1_0f0e/main/0.log", "theirs")
    collector.write("mcp-dev_pod-1_0f0e/main/0.log", "ours")
    start(collector)
    wait_for(lambda: sink.named("ours"), "record")
    collector.write("mcp-dev_pod-1_0f0e/main/0.log", "later")  # is read when all files were looked at
    wait_for(lambda: sink.named("later"), "later record")
    accepted = "otelcol_receiver_accepted_log_records_total"
    wait_for(lambda: collector.count(accepted) >= 2, "accepted records")  # they are counted afterwards
    assert collector.count(accepted) == 2
    assert collector.stop() == 0
    assert [item.text for item in sink.items] == ["ours", "later"]


def test_lines_outlast_a_backend_that_is_away_and_a_collector_that_is_killed(
    tmp_path: Path, sink: Sink, start: Start
) -> None:
    collector = of_logs(tmp_path, backend(sink.url))
    sink.status = 503
    collector.write(GATEWAY, *(f"early {number}" for number in range(500)))
    start(collector)
    wait_for(lambda: collector.count("otelcol_receiver_accepted_log_records_total") == 500, "lines read")
    wait_for(lambda: sink.requests, "try")
    collector.kill()
    collector.write(GATEWAY, *(f"late {number}" for number in range(500)))
    collector.start()
    sink.status = 200
    wait_for(lambda: len({item.text for item in sink.items}) == 1000, "all lines")


def test_every_metric_of_the_alerts_is_there_when_it_goes_wrong(
    tmp_path: Path, sink: Sink, start: Start, span: Callable[[Otelcol, str], None]
) -> None:
    to: Backend = backend(sink.url)
    traces, logs = start(of_traces(tmp_path, to)), start(of_logs(tmp_path, to))
    sink.status = 400
    span(traces, "unwanted")
    logs.write(GATEWAY, "unwanted")
    for collector, items in ((traces, "spans"), (logs, "log_records")):
        dropped = f"otelcol_exporter_send_failed_{items}_total"
        wait_for(lambda of=collector, it=dropped: of.count(it) == 1, "dropped data")
    series = [*traces.series(), *logs.series()]
    for name, labels in known_metrics.COLLECTOR.items():
        found = [it for it in series if it.partition("{")[0] == name]
        assert found, name
        for label in labels - known_metrics.TARGET_LABELS:
            assert all(f'{label}="' in it for it in found), found
