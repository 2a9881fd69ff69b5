"""When somebody is called about backups, by what kube-state-metrics tells of their jobs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from infra.monitoring.alerts import alert
from infra.monitoring.resources import Rule, RuleGroup
from infra.monitoring.series import Series
from infra.naming import RESTORE_DRILL, Stack
from infra.settings.monitoring import Monitoring

_TOLD_SECONDS: Final = 86_400
"""How long a job that failed is told of."""
_JOBS: Final = 'job_name=~"(backup|restore)-.+"'


def build_group(stack: Stack, monitoring: Monitoring, patience: Mapping[str, int]) -> RuleGroup:
    """The alerts.

    Args:
        stack: The stack.
        monitoring: Its settings of monitoring.
        patience: The most seconds between two successes of each CronJob.
    """
    series = Series(stack)
    backups = {name: seconds for name, seconds in patience.items() if name != RESTORE_DRILL}
    drills = {name: seconds for name, seconds in patience.items() if name == RESTORE_DRILL}
    failed = series.of("kube_job_failed", _JOBS, condition="true")
    begun = series.of("kube_job_created", _JOBS)
    rules = [
        alert(
            stack,
            monitoring,
            "McpBackupFailed",
            expr=f"max by (job_name) ({failed}) == 1 and "
            f"max by (job_name) (time() - {begun}) < {_TOLD_SECONDS}",
            lasting="0m",
            severity="warning",
            summary="Job {{ $labels.job_name }} failed and isn't tried again.",
        ),
        _missing(
            stack,
            monitoring,
            "McpBackupMissing",
            backups,
            "critical",
            "{{ $labels.cronjob }} hasn't succeeded for {{ $value | humanizeDuration }}.",
        ),
    ]
    rules.append(
        alert(
            stack,
            monitoring,
            "McpBackupUnknown",
            expr=" or ".join(
                f"absent({series.of('kube_cronjob_created', cronjob=name)})" for name in sorted(patience)
            ),
            lasting="15m",
            severity="warning",
            summary="Nothing is known of {{ $labels.cronjob }}: its other alerts are blind.",
        )
    )
    if drills:
        summary = "No restore drill has passed for {{ $value | humanizeDuration }}: do backups come back?"
        rules.append(_missing(stack, monitoring, "McpRestoreDrillMissing", drills, "warning", summary))
    return RuleGroup(name="backups", rules=tuple(rules))


def _missing(
    stack: Stack,
    monitoring: Monitoring,
    name: str,
    patience: Mapping[str, int],
    severity: str,
    summary: str,
) -> Rule:
    series = Series(stack)

    def since(job: str) -> str:
        """Seconds since its last success; where there never was one, since it is there."""
        succeeded = series.of("kube_cronjob_status_last_successful_time", cronjob=job)
        made = series.of("kube_cronjob_created", cronjob=job)
        return f"time() - (max by (cronjob) ({succeeded}) or max by (cronjob) ({made}))"

    expr = " or ".join(f"{since(job)} > {seconds}" for job, seconds in sorted(patience.items()))
    return alert(stack, monitoring, name, expr=expr, lasting="15m", severity=severity, summary=summary)
