"""A gateway's spans and log lines, by way of real collectors as stacks configure them: one trace in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.infra.telemetry.example import backend, of_logs, of_traces
from tests.infra.telemetry.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from conftest import Launcher

pytestmark = pytest.mark.timeout(1800)  # the first time, the collector is built

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALL = {"name": "alpha__add", "arguments": {"a": 1, "b": 41}}
PLACE = "mcp-dev_gateway-6d4b75cb6d-x2x9z_0f0e4fd2-9f1c-4f0a-8a51-6b2c0e9d8f11/gateway/0.log"


@pytest.fixture
def sink() -> Generator[Sink]:
    found = Sink()
    yield found
    found.close()


def test_a_calls_spans_and_log_lines_arrive_as_one_trace(
    launcher: Launcher, alpha: str, sink: Sink, tmp_path: Path
) -> None:
    traces, logs = of_traces(tmp_path, backend(sink.url)), of_logs(tmp_path, backend(sink.url))
    try:
        traces.start()
        logs.start()
        servers = [{"name": "alpha", "urls": [alpha]}]
        tracing = {"endpoint": traces.endpoint, "sample_ratio": 0}
        gateway = launcher.gateway({"auth": "none", "servers": servers, "tracing": tracing})
        gateway.mcp("tools/call", CALL, meta={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})

        def logged() -> list[str]:
            lines = gateway.log().splitlines()
            return lines if any('"event":"request"' in line and TRACE in line for line in lines) else []

        logs.write(PLACE, *gateway.wait_for(logged, "line of the access log"))
        spans = gateway.wait_for(
            lambda: [it for it in sink.named("tools/call add") if it.trace_id == TRACE], "span"
        )
        lines = gateway.wait_for(
            lambda: [it for it in sink.named("request") if it.trace_id == TRACE], "record"
        )
    finally:
        traces.kill()
        logs.kill()
    assert {it.resource["service.name"] for it in (*spans, *lines)} == {"gateway"}
    (line,) = lines
    assert {"server": "alpha", "name": "add", "method": "tools/call"}.items() <= line.facts.items()
    assert line.facts["request_id"]
