"""What each alert is tried with: series under which it fires, and some under which it must not."""

from __future__ import annotations

from collections.abc import Mapping

from tests.infra.monitoring.case import Case, fires, quiet
from tests.infra.monitoring.telemetry_cases import TELEMETRY

GATEWAY = 'job="gateway",pod="gateway-1"'
CALLS = f'mcp_tool_calls_total{{{GATEWAY},server="files",tool="read",status='
ERRORS = f'mcp_tool_errors_total{{{GATEWAY},server="files",tool="read",error_type='
REQUESTS = f'mcp_gateway_requests_total{{{GATEWAY},method="tools/call",era="2026-07-28",status='
POOL = f'{{{GATEWAY},server="files"}}'
VALKEY = 'pod="redis-0",container="redis"'
CLAIM = 'persistentvolumeclaim="data-postgres-0"'

JOBS = ("gateway", "files", "redis", "postgres", "otel-collector")
ALL_UP = {f'up{{job="{job}",pod="{job}-1"}}': "1x30" for job in JOBS}
SERVICES = (
    fires(
        "McpServiceDown",
        "a pod that doesn't answer",
        "7m",
        {**ALL_UP, 'up{job="files",pod="files-1"}': "1 1 1 1 1 0x30"},
        "files files-1 can't be scraped: it is down, or there is no pod of it.",
        job="files",
        pod="files-1",
    ),
    fires(
        "McpServiceDown",
        "a service without pods",
        "12m",
        {**ALL_UP, 'up{job="redis",pod="redis-1"}': "1x2"},
        "redis  can't be scraped: it is down, or there is no pod of it.",
        job="redis",
    ),
    quiet("McpServiceDown", "all answer", "20m", ALL_UP),
    quiet(
        "McpServiceDown",
        "one scrape that failed",
        "6m",
        {**ALL_UP, 'up{job="files",pod="files-1"}': "1 1 1 1 1 0 1x30"},
    ),
    fires(
        "McpServerWithoutEndpoints",
        "no endpoint for more than a minute",
        "4m",
        {f"mcp_gateway_endpoints{POOL}": "2 2 0x10"},
        "No pod of server files is ready: its tools can't be called.",
        server="files",
    ),
    quiet(
        "McpServerWithoutEndpoints",
        "one replica of the gateway that doesn't know of it yet",
        "8m",
        {
            f"mcp_gateway_endpoints{POOL}": "2x10",
            'mcp_gateway_endpoints{job="gateway",pod="gateway-2",server="files"}': "0x10",
        },
    ),
    fires(
        "McpDiscoveryFailing",
        "failures that go on",
        "18m",
        {f"mcp_gateway_discovery_errors_total{{{GATEWAY}}}": "0+1x20"},
        "The gateway can't learn which servers there are; it goes on with those that it knows.",
    ),
    quiet(
        "McpDiscoveryFailing",
        "a failure now and then",
        "28m",
        {f"mcp_gateway_discovery_errors_total{{{GATEWAY}}}": "0x5 1x10 2x15"},
    ),
)
CALLED = (
    fires(
        "McpHighErrorRate",
        "one call in twelve fails",
        "10m",
        {f'{CALLS}"ok"}}': "0+92x20", f'{CALLS}"error"}}': "0+8x20"},
        "8% of the calls of server files fail.",
        server="files",
    ),
    quiet(
        "McpHighErrorRate",
        "one call in twenty-five fails",
        "10m",
        {f'{CALLS}"ok"}}': "0+96x20", f'{CALLS}"error"}}': "0+4x20"},
    ),
    quiet(
        "McpHighErrorRate",
        "too few calls to say",
        "10m",
        {f'{CALLS}"ok"}}': "0+1x20", f'{CALLS}"error"}}': "0+2x20"},
    ),
    quiet(
        "McpHighErrorRate",
        "what a server itself counts is not counted twice",
        "10m",
        {
            f'{CALLS}"ok"}}': "0+90x20",
            'mcp_tool_calls_total{job="files",server="files",tool="read",status="error"}': "0+90x20",
        },
    ),
    fires(
        "McpGatewayErrors",
        "one request in twelve ends with 5xx",
        "10m",
        {f'{REQUESTS}"200"}}': "0+92x20", f'{REQUESTS}"503"}}': "0+8x20"},
        "The gateway answers 8% of the requests with 5xx.",
    ),
    quiet(
        "McpGatewayErrors",
        "one request in twenty-five ends with 5xx",
        "10m",
        {f'{REQUESTS}"200"}}': "0+96x20", f'{REQUESTS}"503"}}': "0+4x20"},
    ),
    quiet(
        "McpGatewayErrors",
        "callers' own mistakes",
        "10m",
        {f'{REQUESTS}"200"}}': "0+10x20", f'{REQUESTS}"401"}}': "0+90x20"},
    ),
    fires(
        "McpServerQueue",
        "more wait than are served",
        "6m",
        {f"mcp_gateway_pool_waiting{POOL}": "0 0 0 25x10", f"mcp_gateway_pool_slots{POOL}": "10x15"},
        "25 requests wait for server files: more than are with it.",
        server="files",
    ),
    quiet(
        "McpServerQueue",
        "a queue that is soon gone",
        "8m",
        {f"mcp_gateway_pool_waiting{POOL}": "0 25 25 0x10", f"mcp_gateway_pool_slots{POOL}": "10x15"},
    ),
    fires(
        "McpBreakerOpen",
        "open for minutes",
        "5m",
        {f"mcp_gateway_breaker_state{POOL}": "0 2x10"},
        "A gateway sends server files nothing, since too many calls failed.",
        server="files",
    ),
    quiet("McpBreakerOpen", "half open", "9m", {f"mcp_gateway_breaker_state{POOL}": "0 2 1x10"}),
    fires(
        "McpOverload",
        "requests are refused for minutes",
        "10m",
        {f"mcp_gateway_shed_total{{{GATEWAY}}}": "0+120x15"},
        "The gateway refuses 2 requests a second: it can't keep up.",
    ),
    quiet("McpOverload", "none is refused", "10m", {f"mcp_gateway_shed_total{{{GATEWAY}}}": "7x15"}),
)
MEMORY_LIMIT = f'kube_pod_container_resource_limits{{{VALKEY},resource="memory",unit="byte"}}'
CPU_LIMIT = f'kube_pod_container_resource_limits{{{VALKEY},resource="cpu",unit="core"}}'
MEMORY = f"container_memory_working_set_bytes{{{VALKEY}}}"
CPU = f"container_cpu_usage_seconds_total{{{VALKEY}}}"
RESOURCES = (
    fires(
        "McpMemoryHigh",
        "90 % of the limit",
        "10m",
        {MEMORY: "90x20", MEMORY_LIMIT: "100x20"},
        "redis-0/redis uses 90% of its memory limit; at 100 % it is killed.",
        pod="redis-0",
        container="redis",
    ),
    quiet("McpMemoryHigh", "80 % of the limit", "10m", {MEMORY: "80x20", MEMORY_LIMIT: "100x20"}),
    quiet(
        "McpMemoryHigh",
        "the whole pod's memory, which is no container's",
        "10m",
        {'container_memory_working_set_bytes{pod="redis-0",container=""}': "99x20", MEMORY_LIMIT: "100x20"},
    ),
    fires(
        "McpCpuHigh",
        "90 % of a core",
        "25m",
        {CPU: "0+54x30", CPU_LIMIT: "1x30"},
        "redis-0/redis uses 90% of its CPU limit; at 100 % it is slowed down.",
        pod="redis-0",
        container="redis",
    ),
    quiet("McpCpuHigh", "half a core", "25m", {CPU: "0+30x30", CPU_LIMIT: "1x30"}),
    fires(
        "McpVolumeFilling",
        "5 % left",
        "20m",
        {
            f"kubelet_volume_stats_available_bytes{{{CLAIM}}}": "5x30",
            f"kubelet_volume_stats_capacity_bytes{{{CLAIM}}}": "100x30",
        },
        "Volume data-postgres-0 has 5% left.",
        persistentvolumeclaim="data-postgres-0",
    ),
    quiet(
        "McpVolumeFilling",
        "15 % left",
        "20m",
        {
            f"kubelet_volume_stats_available_bytes{{{CLAIM}}}": "15x30",
            f"kubelet_volume_stats_capacity_bytes{{{CLAIM}}}": "100x30",
        },
    ),
)
REDIS, POSTGRES = f"mcp_gateway_redis_up{{{GATEWAY}}}", f"mcp_postgres_up{{{GATEWAY}}}"
UNSENT = 'cnpg_collector_pg_wal_archive_status{job="postgres",pod="postgres-1",value="ready"}'
COPIED = 'barman_cloud_cloudnative_pg_io_last_available_backup_timestamp{job="postgres",pod="postgres-1"}'
LOST, REFUSED = f"mcp_audit_records_lost_total{{{GATEWAY}}}", f"mcp_audit_calls_refused_total{{{GATEWAY}}}"
RELOADS = f"mcp_gateway_policy_reloads_total{{{GATEWAY},outcome="
KEYS = f'mcp_gateway_key_fetch_errors_total{{{GATEWAY},issuer="https://login.test"}}'
STATE = (
    fires(
        "McpRedisUnavailable",
        "one replica gets no answer",
        "5m",
        {REDIS: "1 1 0x10", 'mcp_gateway_redis_up{job="gateway",pod="gateway-2"}': "1x15"},
        "A gateway gets no answer from Redis: limits and caches are its own for now.",
    ),
    quiet("McpRedisUnavailable", "a moment", "8m", {REDIS: "1 1 0 1x10"}),
    fires(
        "McpPostgresUnavailable",
        "no answer",
        "5m",
        {POSTGRES: "1 1 0x10"},
        "A gateway gets no answer from Postgres: no tasks, and audit records wait.",
    ),
    quiet("McpPostgresUnavailable", "a stack that doesn't use Postgres", "9m", {REDIS: "1x15"}),
    fires(
        "McpRedisReplicaMissing",
        "one of two",
        "10m",
        {
            f'redis_connected_slaves{{job="redis",pod="redis-{number}"}}': f"{1 - number}x15"
            for number in (0, 1)
        },
        "1 of 2 replicas follow Redis' primary; without any it takes no writes.",
    ),
    quiet(
        "McpRedisReplicaMissing",
        "both follow the one that is the primary now",
        "10m",
        {
            'redis_connected_slaves{job="redis",pod="redis-0"}': "2 2 0x15",
            'redis_connected_slaves{job="redis",pod="redis-1"}': "0 0 2x15",
        },
    ),
    fires(
        "McpRedisFailedOver",
        "another pod is the primary",
        "8m",
        {
            'redis_instance_info{job="redis",pod="redis-0",role="master"}': "1 1 1 1 _x15",
            'redis_instance_info{job="redis",pod="redis-1",role="master"}': "_ _ _ _ 1x15",
        },
        "Another server became Redis' primary: the one before was stopped, or silent for too long.",
    ),
    quiet(
        "McpRedisFailedOver",
        "always the same",
        "8m",
        {
            'redis_instance_info{job="redis",pod="redis-0",role="master"}': "1x15",
            'redis_instance_info{job="redis",pod="redis-1",role="slave"}': "1x15",
        },
    ),
    fires(
        "McpPostgresStandbyMissing",
        "one of two",
        "10m",
        {
            'cnpg_pg_replication_streaming_replicas{job="postgres",pod="postgres-1"}': "2 2 1x15",
            'cnpg_pg_replication_streaming_replicas{job="postgres",pod="postgres-2"}': "0x15",
        },
        "1 of 2 standbys follow Postgres' primary; without any, writes wait.",
    ),
    quiet(
        "McpPostgresStandbyMissing",
        "both follow",
        "10m",
        {'cnpg_pg_replication_streaming_replicas{job="postgres",pod="postgres-1"}': "2x15"},
    ),
    fires(
        "McpPostgresArchiveBehind",
        "segments wait",
        "25m",
        {UNSENT: "0 0 11x30"},
        "Postgres' log or its nightly copy doesn't reach the archive: what is new can't be restored.",
    ),
    fires(
        "McpPostgresArchiveBehind",
        "the last copy is old",
        "38h",
        {UNSENT: "0x3000", COPIED: "1x3000"},
        "Postgres' log or its nightly copy doesn't reach the archive: what is new can't be restored.",
    ),
    quiet(
        "McpPostgresArchiveBehind",
        "some wait, and there is no copy yet",
        "5h",
        {UNSENT: "10x400", COPIED: "0x400"},
    ),
    fires(
        "McpPostgresArchiveBehind",
        "no copy was ever made",
        "7h",
        {UNSENT: "0x500", COPIED: "0x500"},
        "Postgres' log or its nightly copy doesn't reach the archive: what is new can't be restored.",
    ),
    quiet(
        "McpPostgresArchiveBehind",
        "the first copy took hours",
        "7h",
        {UNSENT: "0x500", COPIED: "0x360 21000x140"},
    ),
    fires(
        "McpAuditRecordsLost",
        "calls were refused",
        "5m",
        {LOST: "0x10", REFUSED: "0 0 3x10"},
        "Audit records could not be written: they are on standard error, or calls were refused.",
    ),
    fires(
        "McpAuditRecordsLost",
        "records were lost",
        "5m",
        {LOST: "0 0 1x10", REFUSED: "0x10"},
        "Audit records could not be written: they are on standard error, or calls were refused.",
    ),
    quiet("McpAuditRecordsLost", "long ago", "30m", {LOST: "0 1x40", REFUSED: "0x40"}),
    fires(
        "McpToolsWithheld",
        "a tool that isn't as it was approved",
        "7m",
        {f'mcp_tools_withheld{{{GATEWAY},server="files",reason="changed"}}': "1x10"},
        "1 tools of server files are withheld (changed).",
        server="files",
        reason="changed",
    ),
    quiet(
        "McpToolsWithheld",
        "none is",
        "7m",
        {f'mcp_tools_withheld{{{GATEWAY},server="files",reason="changed"}}': "0x10"},
    ),
    fires(
        "McpConfigurationRefused",
        "the first refusal of all, whose series begins with it",
        "6m",
        {f'{RELOADS}"refused"}}': "_x4 1x10"},
        "gateway-1 refused a new policy or lock and goes on with the one before.",
        pod="gateway-1",
    ),
    fires(
        "McpConfigurationRefused",
        "another refusal",
        "25m",
        {f'{RELOADS}"refused"}}': "1x20 2x10"},
        "gateway-1 refused a new policy or lock and goes on with the one before.",
        pod="gateway-1",
    ),
    quiet(
        "McpConfigurationRefused",
        "one that was refused long ago, and one that was taken over now",
        "30m",
        {f'{RELOADS}"refused"}}': "1x40", f'{RELOADS}"loaded"}}': "1x25 2x10"},
    ),
    fires(
        "McpIssuerKeysUnavailable",
        "failures that go on",
        "25m",
        {KEYS: "_x3 1+1x30"},
        "The keys of https://login.test can't be fetched: its newest tokens may be refused.",
        issuer="https://login.test",
    ),
    quiet("McpIssuerKeysUnavailable", "one failure", "25m", {KEYS: "_x3 1x30"}),
)


def failing(share: float, minutes: int) -> dict[str, str]:
    """Ten thousand calls a minute, of which a share fails for a reason of ours."""
    failed = round(share * 10_000)
    return {
        f'{CALLS}"ok"}}': f"0+{10_000 - failed}x{minutes}",
        f'{CALLS}"error"}}': f"0+{failed}x{minutes}",
        f'{ERRORS}"timeout"}}': f"0+{failed}x{minutes}",
    }


def slow(share: float, minutes: int) -> dict[str, str]:
    """A thousand calls a minute, of which a share takes longer than 2.5 s."""
    own = f'{GATEWAY},server="files",tool="read"'
    fast = round((1 - share) * 1000)
    return {
        f'mcp_tool_duration_seconds_bucket{{{own},le="2.5"}}': f"0+{fast}x{minutes}",
        f"mcp_tool_duration_seconds_count{{{own}}}": f"0+1000x{minutes}",
    }


FACTORS = {"1h": "14.4", "6h": "6", "1d": "3", "3d": "1"}


def burning(alert: str, objective: str, share: str, series: Mapping[str, str], *windows: str) -> Case:
    """After four hours all windows are filled with what there is, and have said so for long enough."""
    says = (
        f"{share} of the calls over {window} miss the objective, {FACTORS[window]} times what "
        f"{objective} allows."
        for window in windows
    )
    labels = tuple({"window": window} for window in windows)
    return Case(alert, f"{share} of the calls", "4h", series, tuple(says), labels)


AVAILABILITY = ("McpAvailabilityBudgetBurn", "99.900%")
LATENCY = ("McpLatencyBudgetBurn", "95.000%")
BUDGETS = (
    burning(*AVAILABILITY, "2%", failing(0.02, 300), "1h", "6h", "1d", "3d"),
    burning(*AVAILABILITY, "1%", failing(0.01, 300), "6h", "1d", "3d"),
    burning(*AVAILABILITY, "0.4%", failing(0.004, 300), "1d", "3d"),
    burning(*AVAILABILITY, "0.18%", failing(0.0018, 300), "3d"),
    burning(*AVAILABILITY, "0.08%", failing(0.0008, 300)),
    quiet(
        "McpAvailabilityBudgetBurn",
        "errors that the tools themselves report",
        "4h",
        {
            f'{CALLS}"ok"}}': "0+50x300",
            f'{CALLS}"error"}}': "0+50x300",
            f'{ERRORS}"tool_error"}}': "0+50x300",
        },
    ),
    quiet(
        "McpAvailabilityBudgetBurn",
        "an outage that is over: the short windows say so",
        "2h",
        {
            f'{CALLS}"ok"}}': "0+100x75 7550+50x10 8150+100x60",
            f'{ERRORS}"timeout"}}': "0x75 50+50x9 500x60",
        },
    ),
    burning(*LATENCY, "80%", slow(0.8, 300), "1h", "6h", "1d", "3d"),
    burning(*LATENCY, "40%", slow(0.4, 300), "6h", "1d", "3d"),
    burning(*LATENCY, "20%", slow(0.2, 300), "1d", "3d"),
    burning(*LATENCY, "8%", slow(0.08, 300), "3d"),
    burning(*LATENCY, "4%", slow(0.04, 300)),
)
SUCCEEDED = "kube_cronjob_status_last_successful_time"
DUMPS, COPIES, DRILLS = (
    f'{{cronjob="{name}"}}' for name in ("backup-postgres", "backup-redis", "restore-drill")
)
JOB = 'job_name="backup-postgres-29012345"'
MADE = {f"kube_cronjob_created{labels}": "0x15000" for labels in (DUMPS, COPIES, DRILLS)}
OFTEN = "0x1440 86400x1440 172800x1440 259200x12000"
BACKUPS = (
    fires(
        "McpBackupMissing",
        "one kind of backup whose last success is long ago",
        "30h",
        {**MADE, f"{SUCCEEDED}{DUMPS}": "600x4000", f"{SUCCEEDED}{COPIES}": "0x1440 86400x4000"},
        "backup-postgres hasn't succeeded for 1d 5h 50m 0s.",
        cronjob="backup-postgres",
    ),
    fires(
        "McpBackupMissing",
        "backups that never succeeded",
        "30h",
        {f"kube_cronjob_created{DUMPS}": "0x4000"},
        "backup-postgres hasn't succeeded for 1d 6h 0m 0s.",
        cronjob="backup-postgres",
    ),
    quiet(
        "McpBackupMissing",
        "a success each day",
        "90h",
        {**MADE, f"{SUCCEEDED}{DUMPS}": OFTEN, f"{SUCCEEDED}{COPIES}": OFTEN},
    ),
    quiet("McpBackupMissing", "a stack that has been there for a day", "24h", MADE),
    fires(
        "McpBackupUnknown",
        "a CronJob that is gone, or nobody who tells of it",
        "1h",
        {f"kube_cronjob_created{labels}": "0x100" for labels in (DUMPS, DRILLS)},
        "Nothing is known of backup-redis: its other alerts are blind.",
        cronjob="backup-redis",
    ),
    quiet("McpBackupUnknown", "all are there", "1h", MADE),
    fires(
        "McpRestoreDrillMissing",
        "no drill for more than a week",
        "180h",
        {**MADE, f"{SUCCEEDED}{DRILLS}": "3600x15000"},
        "No restore drill has passed for 7d 11h 0m 0s: do backups come back?",
        cronjob="restore-drill",
    ),
    quiet(
        "McpRestoreDrillMissing",
        "one a week",
        "180h",
        {**MADE, f"{SUCCEEDED}{DRILLS}": "3600x10000 601200x5000"},
    ),
    fires(
        "McpBackupFailed",
        "a job that failed",
        "10m",
        {f'kube_job_failed{{{JOB},condition="true"}}': "0 0 1x30", f"kube_job_created{{{JOB}}}": "60x30"},
        "Job backup-postgres-29012345 failed and isn't tried again.",
        job_name="backup-postgres-29012345",
    ),
    quiet(
        "McpBackupFailed",
        "a day ago",
        "25h",
        {f'kube_job_failed{{{JOB},condition="true"}}': "1x2000", f"kube_job_created{{{JOB}}}": "60x2000"},
    ),
    quiet(
        "McpBackupFailed",
        "somebody else's job",
        "10m",
        {
            'kube_job_failed{job_name="import-1",condition="true"}': "1x30",
            'kube_job_created{job_name="import-1"}': "60x30",
        },
    ),
)
CASES = (*SERVICES, *CALLED, *RESOURCES, *STATE, *BACKUPS, *BUDGETS, *TELEMETRY)
