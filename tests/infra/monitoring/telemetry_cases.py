"""What the alerts about collectors of traces and logs are tried with."""

from __future__ import annotations

from tests.infra.monitoring.case import Case, fires, quiet

TRACES = 'namespace="mcp-test",job="otel-collector",pod="otel-collector-1"'
LOGS = 'namespace="logs-mcp-test",job="log-collector",pod="log-collector-1"'
UP = f"up{{{LOGS}}}"
UNAVAILABLE = 'kube_daemonset_status_number_unavailable{namespace="logs-mcp-test",daemonset="log-collector"}'
DOWN = "A node's log collector is down: its logs wait until they are rotated away."


def refused(of: str, items: str, values: str) -> dict[str, str]:
    return {f'otelcol_receiver_refused_{items}_total{{{of},receiver="otlp"}}': values}


def dropped(of: str, items: str, values: str) -> dict[str, str]:
    return {f'otelcol_exporter_send_failed_{items}_total{{{of},exporter="otlp_http"}}': values}


def queue(of: str, share: float) -> dict[str, str]:
    return {
        f'otelcol_exporter_queue_size{{{of},exporter="otlp_http"}}': f"{round(1000 * share)}x30",
        f'otelcol_exporter_queue_capacity{{{of},exporter="otlp_http"}}': "1000x30",
    }


def both(alert: str, what: str, series: tuple[dict[str, str], dict[str, str]], says: str) -> tuple[Case, ...]:
    """Fires for each kind of collector, and names the pod."""
    pods = {"traces": "otel-collector-1", "logs": "log-collector-1"}
    return tuple(
        fires(
            alert,
            f"{what} ({signal})",
            "20m",
            of,
            says.format(pod=pod, signal=signal),
            pod=pod,
            signal=signal,
        )
        for of, (signal, pod) in zip(series, pods.items(), strict=True)
    )


TELEMETRY = (
    fires(
        "McpLogCollectorDown",
        "a collector that doesn't answer",
        "10m",
        {UP: "1 1 0x30"},
        DOWN,
        job="log-collector",
        pod="log-collector-1",
    ),
    fires("McpLogCollectorDown", "no collector at all", "20m", {UP: "1x2"}, DOWN, job="log-collector"),
    fires(
        "McpLogCollectorDown",
        "a node without one",
        "10m",
        {UP: "1x30", UNAVAILABLE: "1x30"},
        DOWN,
        daemonset="log-collector",
    ),
    quiet("McpLogCollectorDown", "all answer", "20m", {UP: "1x30", UNAVAILABLE: "0x30"}),
    quiet("McpLogCollectorDown", "one after the other is replaced", "8m", {UP: "1x3 0x2 1x30"}),
    *both(
        "McpTelemetryRefused",
        "it goes on",
        (refused(TRACES, "spans", "0x3 0+10x30"), refused(LOGS, "log_records", "0x3 0+10x30")),
        "{pod} refuses {signal}: its memory or its queue is full.",
    ),
    quiet("McpTelemetryRefused", "once", "12m", refused(TRACES, "spans", "0x5 7x30")),
    *both(
        "McpTelemetryDropped",
        "a counter that wasn't there",
        (dropped(TRACES, "spans", "_x15 5x30"), dropped(LOGS, "log_records", "_x15 5x30")),
        "{pod} dropped {signal}: the backend refuses them, or was away for too long.",
    ),
    quiet("McpTelemetryDropped", "long ago", "29m", dropped(TRACES, "spans", "0 0 5x40")),
    *both(
        "McpTelemetryQueueFilling",
        "90 %",
        (queue(TRACES, 0.9), queue(LOGS, 0.9)),
        "The queue of {pod} is full to 90%.",
    ),
    quiet("McpTelemetryQueueFilling", "60 % of traces", "20m", queue(TRACES, 0.6)),
    quiet("McpTelemetryQueueFilling", "60 % of logs", "20m", queue(LOGS, 0.6)),
)
