"""Dashboards out of rows of panels, by Grafana's own typed library. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import DataSourceRef, LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync

from infra.naming import PROJECT, Stack

WINDOW: Final = "$__rate_interval"
"""Grafana's own choice of a window: at least four scrapes, and no less than a point of the graph."""

_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${source}")
_HEIGHT: Final = 8
_GRAPH_WIDTH: Final = 8
_NUMBER_WIDTH: Final = 4
_NUMBER_HEIGHT: Final = 4

Panel = Timeseries | Stat


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, and how each series that is found is called."""

    expr: str
    legend: str


def graph(
    title: str,
    *queries: Query,
    unit: str = "short",
    description: str = "",
    most: float | None = None,
) -> Timeseries:
    """Lines over time.

    Args:
        title: Of the panel.
        queries: What is shown.
        unit: Grafana's name of it: short, reqps, s, bytes, percentunit.
        description: Shown beside the title.
        most: Where the axis ends at the least.
    """
    legend = VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    panel = Timeseries().title(title).unit(unit).min(0).fill_opacity(10).legend(legend.show_legend(True))  # noqa: FBT003 - the library's own signature
    panel = panel.datasource(_SOURCE).height(_HEIGHT).span(_GRAPH_WIDTH)
    if description:
        panel = panel.description(description)
    if most is not None:
        panel = panel.axis_soft_max(most)
    for index, query in enumerate(queries):
        target = (
            Dataquery().expr(query.expr).legend_format(query.legend).range().ref_id(chr(ord("A") + index))
        )
        panel = panel.with_target(target.datasource(_SOURCE))
    return panel


def number(title: str, expr: str, *, unit: str = "short", description: str = "") -> Stat:
    """One figure, as it is now, with its history behind it."""
    panel = Stat().title(title).unit(unit).datasource(_SOURCE).height(_NUMBER_HEIGHT).span(_NUMBER_WIDTH)
    if description:
        panel = panel.description(description)
    return panel.with_target(Dataquery().expr(expr).range().ref_id("A").datasource(_SOURCE))


def dashboard(stack: Stack, name: str, title: str, rows: Sequence[tuple[str, Sequence[Panel]]]) -> str:
    """A dashboard's JSON.

    Args:
        stack: Whose figures it shows.
        name: Distinguishes the dashboards of a stack.
        title: As people see it.
        rows: Titles, and the panels below each.
    """
    made = (
        Dashboard(f"{title} ({stack.name})")
        .uid(f"{stack.namespace}-{name}")
        .tags([PROJECT, stack.name])
        .readonly()
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(DatasourceVariable("source").label("Prometheus").type("prometheus"))
    )
    for row, panels in rows:
        made = made.with_row(Row(row))
        for panel in panels:
            made = made.with_panel(panel)
    built: Any = made.build()
    for index, panel in enumerate(built.panels, 1):
        panel.id_val = index
    return json.dumps(built, cls=JSONEncoder, indent=1, sort_keys=True) + "\n"
