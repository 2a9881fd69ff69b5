"""Settings of metrics, alerts and dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import Field, model_validator

from infra.settings.fields import Group, Text, Url, reject

LATENCIES: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds that the histograms of the services have a bucket for; nothing can be said of those between."""


class Objectives(Group):
    """What callers may expect of tool calls, over 30 days; alerts tell when the rest is used up too fast."""

    availability: float = Field(default=0.999, ge=0.95, le=0.99999)
    """Share of tool calls that get the server's answer. What the tool itself reports as an error is one."""
    latency: float = Field(default=0.95, ge=0.95, le=0.999)
    """Share of tool calls that take no longer than `latency_seconds`."""
    latency_seconds: float = 2.5

    @model_validator(mode="after")
    def _is_measured(self) -> Objectives:
        if self.latency_seconds not in LATENCIES:
            known = ", ".join(f"{seconds:g}" for seconds in LATENCIES)
            reject("latency_seconds", f"must be one of {known}: others aren't counted", self.latency_seconds)
        return self


class Monitoring(Group):
    """What the Prometheus operator and Grafana read. The operator's CRDs must be in the cluster."""

    runbooks: Url
    """Where `docs/runbooks` can be read; alerts link to its pages."""
    interval_seconds: int = Field(default=15, ge=15, le=30)
    """Between two scrapes."""
    labels: Mapping[Text, Text] = {}
    """By which the operator's Prometheus selects what it scrapes and which rules it takes, such as
    `release: kube-prometheus-stack`."""
    objectives: Objectives = Objectives()
    dashboards: bool = True
    """Whether there are dashboards, in ConfigMaps with the label that Grafana's sidecar looks for."""
