"""Objectives of the service, and alerts that tell how fast their error budgets are used up. Pure.

Multi-window, multi-burn-rate alerts: a long window says that it matters, a short one that it still goes on
(Google's Site Reliability Workbook, chapter 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from infra.monitoring.alerts import alert
from infra.monitoring.resources import Rule, RuleGroup
from infra.monitoring.series import Series, share
from infra.naming import Stack
from infra.settings.monitoring import Monitoring

FAILURES: Final = "namespace:mcp_tool_call_failures:ratio_rate"
"""Share of tool calls that failed for a reason of ours, with the window behind it."""
SLOW: Final = "namespace:mcp_tool_calls_slow:ratio_rate"
"""Share of tool calls that took longer than the objective says."""

OURS: Final = "timeout|deadline|unavailable|bad_response|internal"
"""Values of `error_type` that count against us; a tool's own errors, refusals and cancelled calls don't."""

_LONG_INTERVAL: Final = "5m"
"""Between evaluations over days, which are dear and change slowly."""


@dataclass(frozen=True, slots=True)
class Burn:
    """A pace at which somebody is called.

    Attributes:
        long: Window that says that it matters: of 30 days' budget, `factor * long / 30 d` is gone.
        short: Window that says that it goes on.
        factor: How many times faster than allowed.
        lasting: How long both must say so.
        severity: Of the alert.
    """

    long: str
    short: str
    factor: float
    lasting: str
    severity: str


BURNS: Final = (
    Burn("1h", "5m", 14.4, "2m", "critical"),
    Burn("6h", "30m", 6, "15m", "critical"),
    Burn("1d", "2h", 3, "1h", "warning"),
    Burn("3d", "6h", 1, "3h", "warning"),
)
SHORT_WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h")
LONG_WINDOWS: Final = ("1d", "3d")


def build_groups(stack: Stack, monitoring: Monitoring) -> tuple[RuleGroup, ...]:
    """The ratios over every window, and the alerts over those."""
    series, wanted = Series(stack), monitoring.objectives
    return (
        RuleGroup(name="objectives", rules=_ratios(series, wanted.latency_seconds, SHORT_WINDOWS)),
        RuleGroup(
            name="objectives-over-days",
            interval=_LONG_INTERVAL,
            rules=_ratios(series, wanted.latency_seconds, LONG_WINDOWS),
        ),
        RuleGroup(
            name="error-budgets",
            rules=(
                *_burns(stack, monitoring, "McpAvailabilityBudgetBurn", FAILURES, wanted.availability),
                *_burns(stack, monitoring, "McpLatencyBudgetBurn", SLOW, wanted.latency),
            ),
        ),
    )


def _ratios(series: Series, seconds: float, windows: tuple[str, ...]) -> tuple[Rule, ...]:
    calls = series.gateway("mcp_tool_calls_total")
    failures = series.gateway("mcp_tool_errors_total", f'error_type=~"{OURS}"')
    timed = series.gateway("mcp_tool_duration_seconds_count")
    fast = series.gateway("mcp_tool_duration_seconds_bucket", le=f"{seconds}")
    return tuple(
        rule
        for window in windows
        for rule in (
            Rule(
                record=FAILURES + window,
                expr=share(f"rate({failures}[{window}])", f"rate({calls}[{window}])", "namespace"),
            ),
            Rule(
                record=SLOW + window,
                expr=f"1 - {share(f'rate({fast}[{window}])', f'rate({timed}[{window}])', 'namespace')}",
            ),
        )
    )


def _burns(stack: Stack, monitoring: Monitoring, name: str, ratio: str, objective: float) -> tuple[Rule, ...]:
    own = Series(stack)
    return tuple(
        alert(
            stack,
            monitoring,
            name,
            expr=" and ".join(
                f"{own.of(ratio + window)} > {burn.factor * (1 - objective):.6g}"
                for window in (burn.long, burn.short)
            ),
            lasting=burn.lasting,
            severity=burn.severity,
            summary=(
                f"{{{{ $value | humanizePercentage }}}} of the calls over {burn.long} miss the objective, "
                f"{burn.factor:g} times what {objective:.3%} allows."
            ),
            labels={"window": burn.long},
        )
        for burn in BURNS
    )
