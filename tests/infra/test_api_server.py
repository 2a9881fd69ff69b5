"""The real API server accepts every object of both stacks, to the last field."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.engine.graph import Graph
from infra.engine.kubectl import Kubectl
from infra.engine.manifest import Manifest, manifests, plain
from infra.engine.plan import against
from infra.engine.record import record
from tests.cluster.control_plane import ControlPlane, control_plane, install_crds
from tests.infra.monitoring.example import RUNBOOKS
from tests.infra.test_variants import SERVERS, evaluate

pytestmark = pytest.mark.cluster

OPERATOR = "github.com/prometheus-operator/prometheus-operator"
OPERATOR_CRDS = [
    f"example/prometheus-operator-crd/monitoring.coreos.com_{plural}.yaml"
    for plural in ("servicemonitors", "prometheusrules")
]
SECRETS = "github.com/external-secrets/external-secrets"
SECRETS_CRDS = [
    f"config/crds/bases/external-secrets.io_{plural}.yaml" for plural in ("externalsecrets", "secretstores")
]
ON = {"monitoring": {"runbooks": RUNBOOKS}}
CUSTOM = {"ServiceMonitor", "PrometheusRule"}
OF_SECRETS = {"ExternalSecret", "SecretStore"}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControlPlane]:
    """Without any CRD."""
    with control_plane(tmp_path_factory.mktemp("bare")) as plane:
        yield plane


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Generator[Kubectl]:
    with control_plane(tmp_path_factory.mktemp("plane")) as plane:
        install_crds(plane, OPERATOR, *OPERATOR_CRDS)
        install_crds(plane, SECRETS, *SECRETS_CRDS)
        yield plane.kubectl


def complaints(kubectl: Kubectl, objects: list[Manifest]) -> list[str]:
    """What the server has against objects: errors, unknown fields, warnings. They are really made."""
    found: list[str] = []
    for item in objects:
        body = json.dumps(plain(item.body))
        done = kubectl.run("apply", "--server-side", "--validate=strict", "--filename", "-", stdin=body)
        found += [f"{item.title}: {line}" for line in done.err.splitlines()]
    return found


def test_both_stacks_are_accepted_as_they_are(deployed: Graph, kubectl: Kubectl) -> None:
    objects = manifests(deployed)
    assert complaints(kubectl, objects) == []
    assert {item.kind for item in objects} >= CUSTOM | OF_SECRETS or deployed.stack == "dev"


def test_a_development_stack_with_monitoring_is_accepted(tmp_path: Path, kubectl: Kubectl) -> None:
    objects = [
        item
        for item in manifests(evaluate(tmp_path, **SERVERS, **ON))
        if item.kind in {"Namespace", "ConfigMap", *CUSTOM}
    ]
    assert {item.kind for item in objects} > CUSTOM
    assert complaints(kubectl, objects) == []


def test_what_the_server_is_asked_finds_mistakes(kubectl: Kubectl) -> None:
    (monitor, *_) = (item for item in manifests(record("prod")) if item.kind == "ServiceMonitor")
    spec = monitor.body["spec"]
    (endpoint,) = spec["endpoints"]
    for wrong in ({**endpoint, "scrapeTimeOut": "1s"}, {**endpoint, "interval": "often"}):
        body = {**monitor.body, "spec": {**spec, "endpoints": [wrong]}}
        assert complaints(kubectl, [replace(monitor, body=body)])


def test_what_the_server_is_asked_finds_mistakes_about_secrets(kubectl: Kubectl) -> None:
    (copy, *_) = (item for item in manifests(record("prod")) if item.kind == "ExternalSecret")
    spec = copy.body["spec"]
    wrong = (
        {**spec, "target": {**spec["target"], "deletionPolicy": "Never"}},
        {**spec, "secretStoreRef": {**spec["secretStoreRef"], "kind": "Vault"}},
        {**spec, "refreshSeconds": 60},
    )
    for changed in wrong:
        assert complaints(kubectl, [replace(copy, body={**copy.body, "spec": changed})])


def test_a_cluster_without_the_operator_is_told_before_anything_changes(
    bare: ControlPlane, tmp_path: Path
) -> None:
    objects = manifests(evaluate(tmp_path, **ON))
    bare.kubectl.apply([plain(item.body) for item in objects if item.kind == "Namespace"])
    todo = against(bare.kubectl, "dev", objects, [], "mcp-dev")
    assert [reason.partition(";")[0] for reason in todo.refusals] == [
        f"the cluster has no kind {kind} of monitoring.coreos.com/v1"
        for kind in ("PrometheusRule", "ServiceMonitor")
    ]


def test_a_cluster_without_external_secrets_is_told_before_anything_changes(bare: ControlPlane) -> None:
    objects = [item for item in manifests(record("prod")) if item.kind in {"Namespace", *OF_SECRETS}]
    bare.kubectl.apply([plain(item.body) for item in objects if item.kind == "Namespace"])
    todo = against(bare.kubectl, "prod", objects, [], "mcp-prod")
    assert [reason.partition(";")[0] for reason in todo.refusals] == [
        f"the cluster has no kind {kind} of external-secrets.io/v1" for kind in sorted(OF_SECRETS)
    ]


def test_a_development_stack_without_monitoring_needs_no_operator(bare: ControlPlane) -> None:
    todo = against(bare.kubectl, "dev", manifests(record("dev")), [], "mcp-dev")
    assert todo.refusals == ()
