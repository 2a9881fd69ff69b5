"""The dashboards of a stack. Pure."""

from __future__ import annotations

from infra.monitoring.dashboard_infrastructure import infrastructure
from infra.monitoring.dashboard_tools import tools
from infra.monitoring.dashboard_work import work
from infra.monitoring.panels import dashboard
from infra.monitoring.series import Series
from infra.naming import Stack
from infra.settings.monitoring import Monitoring


def build_dashboards(stack: Stack, monitoring: Monitoring) -> dict[str, str]:
    """Each dashboard's JSON, by its name."""
    series = Series(stack)
    return {
        "tools": dashboard(stack, "tools", "MCP tools", tools(series, monitoring.objectives)),
        "work": dashboard(stack, "work", "MCP queues, tasks and traffic", work(series)),
        "infrastructure": dashboard(stack, "infrastructure", "MCP infrastructure", infrastructure(series)),
    }
