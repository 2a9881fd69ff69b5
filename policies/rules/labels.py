# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Kubernetes' recommended labels."""

from __future__ import annotations

from typing import Final

from policies.family import Family
from policies.objects import POD_KINDS, KubernetesObject
from policies.rule import Findings, Options, Severity, require

FAMILY: Final = Family("labels", "Recommended labels")

NAME: Final = "app.kubernetes.io/name"
RECOMMENDED: Final = (
    NAME,
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "app.kubernetes.io/part-of",
)


@FAMILY.object(
    "recommended-labels",
    "Workloads, their pods and Services carry the recommended labels",
    Severity.LOW,
    *sorted(POD_KINDS),
    "Service",
    fix="Add app.kubernetes.io/name, instance, component and part-of; selectors and dashboards go by them.",
    references=("Kubernetes: recommended labels",),
)
def recommended_labels(subject: KubernetesObject, _options: Options) -> Findings:
    places = [subject.labels]
    if subject.kind != "Pod":
        places += [pod.metadata.at("labels") for pod in subject.pods()]
    for labels in places:
        for name in RECOMMENDED:
            yield from require(labels.key(name), bool, "must be set")
