"""The Prometheus operator's custom resources, as far as they are used: `monitoring.coreos.com/v1`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from infra.custom_resources import LabelSelector, TypedResource

API_VERSION: Final = "monitoring.coreos.com/v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """What is scraped of each pod behind a Service.

    Attributes:
        target_port: Name of the container's port; the Service need not have it.
        path: Of the metrics.
        interval: Between scrapes.
        scrape_timeout: How long one may take.
    """

    target_port: str
    path: str
    interval: str
    scrape_timeout: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceMonitorSpec:
    """Which Services' pods are scraped, and how.

    Attributes:
        job_label: The Service's label whose value becomes the label `job`.
        selector: The Services, in the monitor's own namespace.
        endpoints: What is scraped.
        sample_limit: A scrape with more samples fails: a runaway must not fill Prometheus.
    """

    job_label: str
    selector: LabelSelector
    endpoints: tuple[Endpoint, ...]
    sample_limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PodEndpoint:
    """What is scraped of each pod: as `Endpoint`, but for the port, which is the container's."""

    port: str
    path: str
    interval: str
    scrape_timeout: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PodMonitorSpec:
    """Which pods are scraped that no Service selects, and how.

    Attributes:
        job_label: The pods' label whose value becomes the label `job`.
    """

    job_label: str
    selector: LabelSelector
    pod_metrics_endpoints: tuple[PodEndpoint, ...]
    sample_limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A recording rule (`record`) or an alerting one (`alert`).

    Attributes:
        expr: PromQL.
        record: Name of the series that is made.
        alert: Name of the alert.
        for_: How long `expr` must hold until the alert fires.
        labels: Beside those of the series.
        annotations: What is told whoever is called; templates of Prometheus's.
    """

    expr: str
    record: str | None = None
    alert: str | None = None
    for_: str | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleGroup:
    """Rules that are evaluated one after the other.

    Attributes:
        name: Of its own in its object.
        rules: In order.
        interval: Between evaluations; Prometheus's own when left out.
    """

    name: str
    rules: tuple[Rule, ...]
    interval: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PrometheusRuleSpec:
    """Groups of rules."""

    groups: tuple[RuleGroup, ...]


class ServiceMonitor(TypedResource[ServiceMonitorSpec], api_version=API_VERSION):
    """Tells the operator's Prometheus what to scrape."""


class PodMonitor(TypedResource[PodMonitorSpec], api_version=API_VERSION):
    """As `ServiceMonitor`, for pods that no Service selects."""


class PrometheusRule(TypedResource[PrometheusRuleSpec], api_version=API_VERSION):
    """Tells the operator's Prometheus what to compute, and when to call somebody."""
