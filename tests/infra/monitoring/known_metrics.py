"""Metrics that may be asked for, with their labels: the services' from the code, others from a short list."""

from __future__ import annotations

import re

from services.gateway.metrics_page import page
from services.kit.metrics import new_registry
from tests.infra.monitoring.example import rules

TARGET_LABELS = frozenset({"namespace", "job", "service", "endpoint", "pod", "container", "instance"})
"""What the operator's configuration gives every series of a ServiceMonitor."""

CONTAINER = frozenset({"namespace", "pod", "container"})
CLAIM = frozenset({"namespace", "persistentvolumeclaim"})
OTHERS: dict[str, frozenset[str]] = {
    # Prometheus itself, for each target.
    "up": TARGET_LABELS,
    # The kubelet (cAdvisor): https://kubernetes.io/docs/reference/instrumentation/metrics/ and
    # https://github.com/google/cadvisor/blob/v0.53.0/docs/storage/prometheus.md
    "container_memory_working_set_bytes": CONTAINER,
    "container_cpu_usage_seconds_total": CONTAINER,
    "kubelet_volume_stats_available_bytes": CLAIM,
    "kubelet_volume_stats_capacity_bytes": CLAIM,
    # https://github.com/kubernetes/kube-state-metrics/blob/v2.17.0/docs/metrics/workload/pod-metrics.md
    "kube_pod_container_resource_limits": CONTAINER | {"resource", "unit", "node", "uid"},
    # … docs/metrics/workload/cronjob-metrics.md, job-metrics.md
    "kube_cronjob_created": frozenset({"namespace", "cronjob"}),
    "kube_cronjob_status_last_successful_time": frozenset({"namespace", "cronjob"}),
    "kube_job_created": frozenset({"namespace", "job_name"}),
    "kube_job_failed": frozenset({"namespace", "job_name", "condition"}),
    "kube_pod_container_status_restarts_total": CONTAINER | {"uid"},
    # https://github.com/kubernetes/kube-state-metrics/blob/v2.17.0/docs/metrics/workload/daemonset-metrics.md
    "kube_daemonset_status_number_unavailable": frozenset({"namespace", "daemonset"}),
    # CloudNativePG: https://cloudnative-pg.io/docs/1.30/monitoring and config/manager/default-monitoring.yaml
    "cnpg_backends_total": TARGET_LABELS | {"datname", "usename", "application_name", "state"},
    "cnpg_collector_pg_wal_archive_status": TARGET_LABELS | {"value"},
    "cnpg_pg_database_size_bytes": TARGET_LABELS | {"datname"},
    "cnpg_pg_replication_streaming_replicas": TARGET_LABELS,
    "cnpg_pg_settings_setting": TARGET_LABELS | {"name"},
    "cnpg_pg_stat_database_xact_commit": TARGET_LABELS | {"datname"},
    "cnpg_pg_stat_database_xact_rollback": TARGET_LABELS | {"datname"},
    # https://cloudnative-pg.io/plugin-barman-cloud/docs/observability
    "barman_cloud_cloudnative_pg_io_last_available_backup_timestamp": TARGET_LABELS,
}
EXPORTERS: dict[str, frozenset[str]] = {
    # Debian's prometheus-redis-exporter and prometheus-postgres-exporter, which our images have; real
    # ones are scraped in tests/services/gateway/test_prometheus.py.
    "redis_memory_used_bytes": TARGET_LABELS,
    "redis_memory_max_bytes": TARGET_LABELS,
    "redis_connected_clients": TARGET_LABELS,
    "redis_connected_slaves": TARGET_LABELS,
    "redis_instance_info": TARGET_LABELS | {"role"},
    "redis_commands_processed_total": TARGET_LABELS,
    "pg_stat_activity_count": TARGET_LABELS | {"state", "datname"},
    "pg_settings_max_connections": TARGET_LABELS,
    "pg_stat_database_xact_commit": TARGET_LABELS | {"datname"},
    "pg_stat_database_xact_rollback": TARGET_LABELS | {"datname"},
    "pg_database_size_bytes": TARGET_LABELS | {"datname"},
}
COLLECTOR: dict[str, frozenset[str]] = {
    # OpenTelemetry's collector; a real one is scraped in tests/infra/telemetry/test_collectors.py.
    "otelcol_receiver_refused_spans_total": TARGET_LABELS | {"receiver", "transport"},
    "otelcol_receiver_refused_log_records_total": TARGET_LABELS | {"receiver", "transport"},
    "otelcol_exporter_send_failed_spans_total": TARGET_LABELS | {"exporter"},
    "otelcol_exporter_send_failed_log_records_total": TARGET_LABELS | {"exporter"},
    "otelcol_exporter_queue_size": TARGET_LABELS | {"exporter", "data_type"},
    "otelcol_exporter_queue_capacity": TARGET_LABELS | {"exporter", "data_type"},
}
_ROW = re.compile(r"\| `(mcp_\w+)` \| (\w+) \| ([^|]*) \|")


def known_metrics() -> dict[str, frozenset[str]]:
    """Labels of every metric, by its name."""
    recorded = {rule["record"]: frozenset({"namespace"}) for rule in rules() if "record" in rule}
    return {**_of_the_gateway(), **_of_processes(), **OTHERS, **EXPORTERS, **COLLECTOR, **recorded}


def _of_the_gateway() -> dict[str, frozenset[str]]:
    """From the registry of a gateway with everything switched on, which docs/metrics.md is made of."""
    found: dict[str, frozenset[str]] = {}
    for name, kind, labels in _ROW.findall(page()):
        own = TARGET_LABELS | set(re.findall(r"`(\w+)`", labels))
        if kind == "histogram":
            found |= {f"{name}_bucket": own | {"le"}, f"{name}_count": own, f"{name}_sum": own}
        else:
            found[name] = own
    return found


def _of_processes() -> dict[str, frozenset[str]]:
    return {
        sample.name: TARGET_LABELS | sample.labels.keys()
        for family in new_registry().collect()
        for sample in family.samples
    }
