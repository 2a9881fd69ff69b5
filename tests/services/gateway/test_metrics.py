"""The gateway's metrics: the names that dashboards rely on, in a scrape of a real one, and their page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from services.gateway.metrics_page import page
from tests.services.gateway.leaving import STATELESS, Odd, send

if TYPE_CHECKING:
    from conftest import Gateway, Launcher

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "metrics.md"
ROW = re.compile(r"\| `(mcp_\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|")


def scrape(gateway: Gateway) -> dict[str, Metric]:
    text = httpx2.get(f"{gateway.ops_url}/metrics").text
    return {family.name: family for family in text_string_to_metric_families(text)}


def labels_of(family: Metric) -> set[str]:
    return {label for sample in family.samples for label in sample.labels} - {"le"}


def documented() -> Iterator[tuple[str, str, set[str], str]]:
    for name, kind, labels, meaning in ROW.findall(PAGE.read_text()):
        yield name.removesuffix("_total"), kind, set(re.findall(r"`(\w+)`", labels)), meaning


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_the_page_says_which_values_each_label_has() -> None:
    described = set(re.findall(r"`(\w+)`", PAGE.read_text().partition("| metric |")[0]))
    assert {label for _, _, labels, _ in documented() for label in labels} <= described


def test_the_page_has_every_metric_of_the_code() -> None:
    """The page is made from one configuration; this finds what only another one has."""
    sources = [*(ROOT / "services/gateway").rglob("*.py"), *(ROOT / "services/kit").rglob("*.py")]
    declared = {name for file in sources for name in re.findall(r'"(mcp_[a-z0-9_]+)"', file.read_text())}
    assert declared
    assert {name.removesuffix("_total") for name in declared} == {row[0] for row in documented()}


def test_the_page_says_what_a_scrape_has(gateway: Gateway) -> None:
    gateway.mcp("tools/list")
    gateway.mcp("tools/call", {"name": "alpha__fail", "arguments": {}})
    gateway.mcp("tools/call", {"name": "alpha__add", "arguments": {"a": 1, "b": 2}})
    httpx2.post(f"{gateway.url}/mcp", content=b"", headers={"Host": "evil.test"})
    rows = {name: (kind, labels, meaning) for name, kind, labels, meaning in documented()}
    families = {name: it for name, it in scrape(gateway).items() if name.startswith("mcp_")}
    for name, family in families.items():
        kind, labels, meaning = rows[name]
        assert (family.type, family.documentation) == (kind, meaning)
        assert not family.samples or labels_of(family) == labels, name
    # This gateway has no stores; all else is reported from the start.
    stores = ("mcp_gateway_redis", "mcp_postgres", "mcp_audit", "mcp_tasks")
    assert all(name.startswith(stores) for name in rows.keys() - families.keys())


def value(gateway: Gateway, name: str, **labels: str) -> float:
    for sample in (sample for family in scrape(gateway).values() for sample in family.samples):
        if sample.name == name and sample.labels == labels:
            return sample.value
    return 0.0


def test_tool_calls_are_counted_and_timed(gateway: Gateway) -> None:
    def found() -> tuple[float, float, float]:
        tool = {"server": "alpha", "tool": "add"}
        return (
            value(gateway, "mcp_tool_calls_total", **tool, status="ok"),
            value(gateway, "mcp_tool_duration_seconds_count", **tool),
            value(gateway, "mcp_tool_calls_total", **tool, status="error"),
        )

    gateway.mcp("tools/call", {"name": "alpha__add", "arguments": {"a": 1, "b": 2}})
    calls, durations, errors = found()
    gateway.mcp("tools/call", {"name": "alpha__add", "arguments": {"a": 1, "b": 2}})
    assert found() == (calls + 1, durations + 1, errors)


@pytest.mark.parametrize(
    ("name", "labels", "error"),
    [
        ("alpha__fail", {"server": "alpha", "tool": "fail"}, "tool_error"),
        ("odd__html", {"server": "odd", "tool": "other"}, "bad_response"),
    ],
)
def test_errors_are_told_apart(gateway: Gateway, name: str, labels: dict[str, str], error: str) -> None:
    def found() -> tuple[float, float]:
        return (
            value(gateway, "mcp_tool_errors_total", **labels, error_type=error),
            value(gateway, "mcp_tool_calls_total", **labels, status="error"),
        )

    gateway.mcp("tools/list")
    errors, calls = found()
    gateway.mcp("tools/call", {"name": name, "arguments": {}})
    assert found() == (errors + 1, calls + 1)


def test_names_that_callers_invent_are_no_labels(gateway: Gateway) -> None:
    for number in range(20):
        gateway.mcp("tools/call", {"name": f"alpha__invented{number}", "arguments": {}})
        gateway.mcp("tools/call", {"name": f"nowhere{number}__x", "arguments": {}})
        gateway.mcp(f"invented/{number}")
    text = httpx2.get(f"{gateway.ops_url}/metrics").text
    assert "invented" not in text
    assert "nowhere" not in text


def test_requests_and_slots_in_use_are_gauges(launcher: Launcher) -> None:
    upstream = {"connections_per_server": 2, "queue_seconds": 200}
    servers = [{"name": "odd", "urls": [Odd(launcher).url]}]
    small = launcher.gateway({"auth": "none", "servers": servers, "upstream": upstream})

    def gauges() -> dict[str, float]:
        families = scrape(small)
        names = ("requests_in_flight", "pool_slots", "pool_slots_used", "pool_waiting", "upstream_in_flight")
        return {name: families[f"mcp_gateway_{name}"].samples[0].value for name in names}

    idle = {"requests_in_flight": 0, "pool_slots": 2, "pool_slots_used": 0, "pool_waiting": 0}
    assert gauges() == {**idle, "upstream_in_flight": 0}
    busy = {"requests_in_flight": 3, "pool_slots": 2, "pool_slots_used": 2, "pool_waiting": 1}
    callers = [send(small, STATELESS, "tools/call", {"name": "odd__hang"}) for _ in range(3)]
    small.wait_for(lambda: gauges() == {**busy, "upstream_in_flight": 2}, "three calls under way")
    for caller in callers:
        caller.close()
    small.wait_for(lambda: gauges() == {**idle, "upstream_in_flight": 0}, "the end of all calls")


def test_a_server_that_fails_shows(launcher: Launcher, odd: str) -> None:
    server = {"name": "odd", "urls": [odd]}
    breaker = {"min_calls": 2, "open_seconds": 60}
    # Asking for the list of tools first would count as an answer of the server's.
    config = {"upstream": {"breaker": breaker}, "approval": {"by_annotation": "off"}}
    gateway = launcher.gateway({"auth": "none", "servers": [server], **config})
    for _ in range(3):
        gateway.mcp("tools/call", {"name": "odd__html", "arguments": {}})
    labels = {"server": "odd", "tool": "other"}
    assert value(gateway, "mcp_tool_errors_total", **labels, error_type="bad_response") == 2
    assert value(gateway, "mcp_tool_errors_total", **labels, error_type="unavailable") == 1
    assert value(gateway, "mcp_gateway_breaker_state", server="odd") == 2
    gateway.mcp("tools/list")
    assert value(gateway, "mcp_gateway_list_servers_missing_total", server="odd") == 1


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=mcp_gateway_servers"])
def test_metrics_are_on_the_operations_port_only(gateway: Gateway, path: str) -> None:
    assert httpx2.get(f"{gateway.ops_url}{path}").status_code == 200
    assert httpx2.get(f"{gateway.url}{path}").status_code == 404
