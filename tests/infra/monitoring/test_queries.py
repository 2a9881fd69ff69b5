"""Every query of rules and dashboards asks for metrics and labels that the services' code has."""

from __future__ import annotations

from collections.abc import Iterator

import promql_parser as promql
import pytest

from infra.monitoring.objectives import OURS
from infra.naming import LOG_COLLECTOR
from infra.settings.monitoring import LATENCIES
from services.kit.metrics import DURATION_BUCKETS, ErrorType
from tests.infra.monitoring.example import Query, dashboards, queries
from tests.infra.monitoring.known_metrics import known_metrics

QUERIES = list(queries())
KNOWN = known_metrics()


def below(expr: promql.Expr) -> Iterator[promql.Expr]:
    """An expression and all of its parts."""
    found: list[promql.Expr] = []
    promql.walk(expr, found.append)
    yield from found


def selectors(expr: promql.Expr) -> list[promql.VectorSelector]:
    return [part for part in below(expr) if isinstance(part, promql.VectorSelector)]


def unknown(expr: promql.Expr) -> list[str]:
    """Metrics that nobody reports, and labels that theirs don't have."""
    wrong: list[str] = []
    for selector in selectors(expr):
        name = str(selector.name)
        labels = KNOWN.get(name)
        if labels is None:
            wrong.append(name)
        else:
            asked = {matcher.name for matcher in selector.matchers.matchers}
            wrong += [f"{name}{{{label}}}" for label in asked - labels]
    for part in below(expr):
        if isinstance(part, promql.AggregateExpr) and part.modifier is not None:
            reported = {label for it in selectors(part.expr) for label in KNOWN.get(str(it.name), ())}
            wrong += [f"by {label}" for label in set(part.modifier.labels) - reported]
    return wrong


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.place)
def test_every_metric_and_label_of_a_query_exists(query: Query) -> None:
    expr = promql.parse(query.expr)
    assert selectors(expr)
    assert unknown(expr) == []


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.place)
def test_every_query_asks_for_the_stacks_own_series_only(query: Query) -> None:
    for selector in selectors(promql.parse(query.expr)):
        matchers = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
        logs = matchers.get("job", matchers.get("daemonset")) == LOG_COLLECTOR
        assert matchers["namespace"] == ("logs-mcp-test" if logs else "mcp-test"), str(selector)


@pytest.mark.parametrize(
    ("expr", "wrong"),
    [
        ("rate(mcp_tool_call_total[5m])", ["mcp_tool_call_total"]),
        ('mcp_tool_calls_total{sttus="error"}', ["mcp_tool_calls_total{sttus}"]),
        ("sum by (issuer) (mcp_tool_calls_total)", ["by issuer"]),
        ("absent(nothing) or (up unless gone offset 5m)", ["nothing", "gone"]),
    ],
)
def test_a_metric_or_label_that_does_not_exist_is_found(expr: str, wrong: list[str]) -> None:
    assert sorted(unknown(promql.parse(expr))) == sorted(wrong)


def test_objectives_name_error_types_and_buckets_that_exist() -> None:
    assert set(OURS.split("|")) < set(ErrorType)
    assert set(LATENCIES) <= set(DURATION_BUCKETS)


def test_dashboards_have_ids_of_their_own_and_every_panel_a_query() -> None:
    found = dashboards()
    assert len({it["uid"] for it in found.values()}) == len(found) == 3
    for dashboard in found.values():
        panels = dashboard["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        for panel in panels:
            assert panel["type"] == "row" or all(it["expr"] and it["refId"] for it in panel["targets"])
            assert panel["type"] == "row" or panel["datasource"]["uid"] == "${source}"


def test_panels_do_not_overlap() -> None:
    for name, dashboard in dashboards().items():
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert max(x for x, _ in cells) < 24, f"{name}: {panel['title']}"
            assert not cells & taken, f"{name}: {panel['title']}"
            taken |= cells
