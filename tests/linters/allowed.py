"""What linters find and we mean: every row says why, and one that nothing falls under fails the tests."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.linters.running import Finding

_BURST = (
    "sizes are settings: requests are what a service needs, limits what it may take when there is work; "
    "memory of the stores, which an eviction would hurt, is equal"
)
_CONTENT_TAG = (
    "tags are hashes of what an image is made of (ADR 3) and can't be moved in the registry; "
    "images of others are named by digest; our rule `image-pinned` wants one of the two"
)


@dataclass(frozen=True)
class Allowed:
    """A check that does not apply, where, and why not."""

    linter: str
    check: str
    reason: str
    stacks: str = ".*"
    targets: str = ".*"

    def covers(self, stack: str, finding: Finding) -> bool:
        """Whether a finding about an object of a stack is one of these."""
        return (
            (self.linter, self.check) == (finding.linter, finding.check)
            and re.fullmatch(self.stacks, stack) is not None
            and re.fullmatch(self.targets, finding.target) is not None
        )


ALLOWED = (
    Allowed("kube-score", "container-resource-requests-equal-limits", _BURST),
    Allowed("kube-score", "container-cpu-requests-equal-limits", _BURST),
    Allowed(
        "kube-score", "container-memory-requests-equal-limits", _BURST, targets="(Deployment|DaemonSet)/.*"
    ),
    Allowed("kube-score", "container-ephemeral-storage-request-equals-limit", _BURST),
    Allowed("kube-score", "container-image-pull-policy", _CONTENT_TAG),
    Allowed("checkov", "CKV_K8S_15", f"pull policy: {_CONTENT_TAG}"),
    Allowed("checkov", "CKV_K8S_43", f"digests: {_CONTENT_TAG}"),
    Allowed(
        "kube-score",
        "statefulset-has-servicename",
        "one replica, which is reached by its Service's stable address; nobody names the pod",
        targets="StatefulSet/(redis|postgres)",
    ),
    Allowed(
        "kube-score",
        "deployment-has-host-podantiaffinity",
        "topologySpreadConstraints spread replicas over nodes and zones; another check of it asks for them",
    ),
    Allowed(
        "kube-score",
        "networkpolicy-targets-pod",
        "operators make these pods: Istio of its Gateway, CloudNativePG of its Cluster",
        stacks="prod",
        targets="NetworkPolicy/(waypoint|postgres)",
    ),
    Allowed(
        "kube-score",
        "pod-probes-identical",
        "a Sentinel depends on nothing that it could wait for: its port answers, or it is to be restarted",
        targets="StatefulSet/redis",
    ),
    Allowed("kube-score", "deployment-replicas", "development is one machine", stacks="dev"),
    Allowed(
        "kube-score",
        "service-type",
        "development's way in: a node's port, forwarded to 127.0.0.1 only",
        stacks="dev",
        targets="Service/gateway",
    ),
    Allowed(
        "kube-score",
        "deployment-strategy",
        "its volume can be mounted by one node at a time",
        stacks="dev",
        targets="Deployment/filesystem",
    ),
)
