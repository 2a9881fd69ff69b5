"""The real API server accepts every object of both stacks, to the last field."""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Generator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from infra.engine.graph import Graph
from infra.engine.kubectl import Kubectl
from infra.engine.manifest import Manifest, manifests, plain
from infra.engine.plan import against
from services.backup.bucket import Bucket
from services.backup.errors import BackupError
from services.backup.parts import configuration
from services.backup.settings import BucketSettings
from tests.cluster.control_plane import ControlPlane, control_plane, install_crds
from tests.evaluated import evaluated
from tests.infra.aws.server import REGION, Server
from tests.infra.mesh.stacks import NAMES, evaluate_in_mesh
from tests.infra.monitoring.example import RUNBOOKS
from tests.infra.test_variants import SERVERS, evaluate

pytestmark = pytest.mark.cluster

CRDS = {
    "github.com/cloudnative-pg/cloudnative-pg": [
        f"config/crd/bases/postgresql.cnpg.io_{plural}.yaml" for plural in ("clusters", "scheduledbackups")
    ],
    "github.com/cloudnative-pg/plugin-barman-cloud": [
        "config/crd/bases/barmancloud.cnpg.io_objectstores.yaml"
    ],
    "github.com/external-secrets/external-secrets": [
        f"config/crds/bases/external-secrets.io_{plural}.yaml"
        for plural in ("externalsecrets", "secretstores")
    ],
    "github.com/prometheus-operator/prometheus-operator": [
        f"example/prometheus-operator-crd/monitoring.coreos.com_{plural}.yaml"
        for plural in ("servicemonitors", "podmonitors", "prometheusrules")
    ],
    "istio.io/api": ["kubernetes/customresourcedefinitions.gen.yaml"],
    "github.com/cert-manager/cert-manager": ["deploy/crds/cert-manager.io_certificates.yaml"],
    "github.com/envoyproxy/gateway": [
        f"charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_{plural}.yaml"
        for plural in ("backendtrafficpolicies", "clienttrafficpolicies", "envoyproxies")
    ],
    "sigs.k8s.io/gateway-api": [
        # Retries of routes are in the standard channel from 1.7 on.
        f"config/crd/experimental/gateway.networking.k8s.io_{plural}.yaml"
        for plural in ("gateways", "httproutes")
    ],
}
"""Go modules of tests/cluster/crds, and the files there."""
ON = {"monitoring": {"runbooks": RUNBOOKS}}
CUSTOM = {"ServiceMonitor", "PrometheusRule"}
OF_POSTGRES = {"PodMonitor", "Cluster", "ScheduledBackup", "ObjectStore"}
OF_SECRETS = {"ExternalSecret", "SecretStore"}
OF_EDGE = {"BackendTrafficPolicy", "Certificate", "ClientTrafficPolicy", "EnvoyProxy", "Gateway", "HTTPRoute"}
OF_MESH = {"PeerAuthentication", "AuthorizationPolicy", "DestinationRule"}
OF_MODE = {True: {"Gateway", "HTTPRoute"}, False: {"VirtualService"}}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Generator[ControlPlane]:
    """Without any CRD."""
    with control_plane(tmp_path_factory.mktemp("bare")) as plane:
        yield plane


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Generator[Kubectl]:
    with control_plane(tmp_path_factory.mktemp("plane")) as plane:
        for module, files in CRDS.items():
            install_crds(plane.kubectl, module, *files)
        yield plane.kubectl


@pytest.fixture(scope="module")
def in_prod(kubectl: Kubectl) -> list[Manifest]:
    """What the repository's prod has in its namespace."""
    objects = manifests(evaluated("prod"))
    kubectl.apply([plain(item.body) for item in objects if item.kind == "Namespace"])
    return objects


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
    wanted = CUSTOM | OF_POSTGRES | OF_SECRETS | OF_EDGE | OF_MESH | OF_MODE[True]
    assert {item.kind for item in objects} >= wanted or deployed.stack == "dev"


def test_a_development_stack_with_monitoring_is_accepted(tmp_path: Path, kubectl: Kubectl) -> None:
    objects = [
        item
        for item in manifests(evaluate(tmp_path, **SERVERS, **ON))
        if item.kind in {"Namespace", "ConfigMap", *CUSTOM}
    ]
    assert {item.kind for item in objects} > CUSTOM
    assert complaints(kubectl, objects) == []


def test_pods_that_read_a_folder_of_the_node_are_admitted_in_the_namespace_of_logs_only(
    kubectl: Kubectl,
) -> None:
    objects = manifests(evaluated("prod"))
    wanted = {"Namespace", "ServiceAccount", "ResourceQuota", "LimitRange", "PriorityClass"}
    assert complaints(kubectl, [item for item in objects if item.kind in wanted]) == []
    (collectors,) = (item.body for item in objects if item.kind == "DaemonSet")
    template = plain(collectors["spec"]["template"])
    answers: dict[str, list[str]] = {}
    for namespace, account in (("logs-mcp-prod", "log-collector"), ("mcp-prod", "gateway")):
        metadata = {**template["metadata"], "name": "reader", "namespace": namespace}
        spec = {**template["spec"], "serviceAccountName": account}
        body = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        answers[namespace] = kubectl.run("create", "--filename", "-", stdin=body).err.splitlines()
    assert answers["logs-mcp-prod"] == []
    assert 'violates PodSecurity "restricted:v1.36": restricted volume types' in "".join(answers["mcp-prod"])
    admitted = kubectl.get("pod", "logs-mcp-prod", "reader")
    assert admitted is not None
    assert (admitted["spec"]["priority"], admitted["spec"]["preemptionPolicy"]) == (100, "Never")


def test_the_configuration_is_backed_up_by_an_account_that_sees_no_secret(
    tmp_path: Path, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"endpoint": "http://s3.test", "name": "copies", "credentials": "s3"}
    graph = evaluate(tmp_path, backup={"cidrs": ["192.0.2.0/24"], "bucket": place})
    declared = [it for it in manifests(graph) if it.kind not in {"Secret", "StatefulSet"}]
    assert complaints(kubectl, declared) == []
    (job,) = (it.body for it in declared if (it.kind, it.name) == ("CronJob", "backup-configuration"))
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    resources = json.loads(next(it["value"] for it in container["env"] if it["name"] == "BACKUP_RESOURCES"))
    account = act_as(kubectl, "backup-configuration", tmp_path, monkeypatch)

    server = Server(tmp_path / "s3.log")
    try:
        bucket = bucket_of(server, monkeypatch)
        configuration.back_up(bucket, "mcp-dev", resources, account)
        found = bucket.find("configuration", "newest")
        items = json.loads(configuration.read(found, bucket.read(found)))["items"]
        with pytest.raises(BackupError, match="secrets: 403 Forbidden"):
            list(configuration.Api(account).list("v1", "mcp-dev", "secrets"))
    finally:
        server.stop()

    names = {(it["kind"], it["metadata"]["name"]) for it in items}
    kinds = {kind for kind, _ in names}
    assert kinds >= {"ConfigMap", "CronJob", "Deployment", "NetworkPolicy", "Role", "ServiceAccount"}
    assert names >= {(it.kind, it.name) for it in declared if it.kind in kinds}
    assert ("ConfigMap", "kube-root-ca.crt") not in names
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    done = kubectl.run("diff", "--server-side", "--force-conflicts", "--filename", "-", stdin=body)
    assert (done.code, done.out) == (0, ""), done.err


def act_as(kubectl: Kubectl, account: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a pod of the account is given: the API's address, its token and the authority."""
    config = json.loads(kubectl.must("config", "view", "--raw", "--minify", "--output=json"))
    cluster = config["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(server.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    (folder / "token").write_text(kubectl.must("create", "token", account, "--namespace=mcp-dev"))
    (folder / "ca.crt").write_text(Path(cluster["certificate-authority"]).read_text())
    return folder


def bucket_of(server: Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    server.client("s3").create_bucket(
        Bucket="copies", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    told = {"STACK": "dev", "NAMESPACE": "mcp-dev", "BUCKET": "s3://copies", "REGION": REGION}
    for name, value in {**told, "ENDPOINT": server.url}.items():
        monkeypatch.setenv(f"BACKUP_{name}", value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    return Bucket(BucketSettings())  # pyright: ignore[reportCallIssue] - from the environment


def test_what_the_server_is_asked_finds_mistakes(kubectl: Kubectl) -> None:
    (monitor, *_) = (item for item in manifests(evaluated("prod")) if item.kind == "ServiceMonitor")
    spec = monitor.body["spec"]
    (endpoint,) = spec["endpoints"]
    for wrong in ({**endpoint, "scrapeTimeOut": "1s"}, {**endpoint, "interval": "often"}):
        body = {**monitor.body, "spec": {**spec, "endpoints": [wrong]}}
        assert complaints(kubectl, [replace(monitor, body=body)])


def test_what_the_server_is_asked_finds_mistakes_about_secrets(kubectl: Kubectl) -> None:
    (copy, *_) = (item for item in manifests(evaluated("prod")) if item.kind == "ExternalSecret")
    spec = copy.body["spec"]
    wrong = (
        {**spec, "target": {**spec["target"], "deletionPolicy": "Never"}},
        {**spec, "secretStoreRef": {**spec["secretStoreRef"], "kind": "Vault"}},
        {**spec, "refreshSeconds": 60},
    )
    for changed in wrong:
        assert complaints(kubectl, [replace(copy, body={**copy.body, "spec": changed})])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "prod"])
def test_a_stack_in_a_mesh_is_accepted(tmp_path: Path, kubectl: Kubectl, name: str) -> None:
    of_mode = OF_MODE["sidecars" not in name]
    objects = [
        item
        for item in manifests(evaluate_in_mesh(tmp_path, name))
        if item.kind in {"Namespace", *OF_MESH, *of_mode}
    ]
    assert {item.kind for item in objects} > OF_MESH | of_mode
    assert complaints(kubectl, objects) == []


WRONG = [
    ("HTTPRoute", "rules.0.retries", {"attempts": 3}, "not declared in schema"),
    ("HTTPRoute", "rules.0.timeouts.backendRequest", "2h", "cannot be longer than request timeout"),
    (
        "HTTPRoute",
        "rules.0.filters",
        [
            {"type": "RequestRedirect", "requestRedirect": {}},
            {"type": "URLRewrite", "urlRewrite": {"hostname": "a.example"}},
        ],
        "May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite",
    ),
    (
        "Gateway",
        "listeners",
        [{"name": name, "port": 80, "protocol": "HTTP"} for name in ("a", "b")],
        "Combination of port, protocol and hostname must be unique",
    ),
    ("AuthorizationPolicy", "targetRef", {"kind": "Service", "name": "redis"}, "can be set"),
    ("AuthorizationPolicy", "rules.0.to.0.operation.port", "8080", "not declared in schema"),
    ("PeerAuthentication", "portLevelMtls", {"9090": {"mode": "PERMISSIVE"}}, "requires selector"),
    ("DestinationRule", "trafficPolicy.outlierDetection.interval", "15", "must be a valid duration"),
    ("DestinationRule", "trafficPolicy.connectionPool.tcp.maxConnection", 50, "not declared in schema"),
]


@pytest.mark.parametrize(("kind", "path", "value", "message"), WRONG)
def test_the_schemas_of_the_mesh_find_mistakes(
    kubectl: Kubectl, in_prod: list[Manifest], kind: str, path: str, value: Any, message: str
) -> None:
    names = {"PeerAuthentication": "default", "AuthorizationPolicy": "redis"}
    item = next(it for it in in_prod if it.kind == kind and it.name == names.get(kind, it.name))
    body = {**item.body, "spec": changed(item.body["spec"], path, value)}
    assert any(message in line for line in complaints(kubectl, [replace(item, body=body)]))


WRONG_AT_THE_EDGE = """
- [Gateway, edge, listeners.0.tls, {mode: Terminate}, certificateRefs or options must be specified]
- [Gateway, edge, listeners.0.protocol, HTTP, tls must not be specified for protocols]
- [Gateway, edge, listeners.1.name, https, duplicate entries for key]
- [HTTPRoute, edge, rules.0.matches.0.path.value, mcp, must be an absolute path]
- [HTTPRoute, edge-redirect, rules.0.filters.0.type, ExtensionRef, filter.extensionRef must be specified]
- [HTTPRoute, edge, rules.0.timeouts.request, 1 hour, should match]
- [Certificate, edge-tls, issuerRef, {kind: ClusterIssuer}, Required value]
- [ClientTrafficPolicy, edge, tls.minVersion, "1.4", Unsupported value]
- [BackendTrafficPolicy, edge, rateLimit.local.rules.0.clientSelectors.0, {}, must be specified]
- [BackendTrafficPolicy, edge, requestBuffer.limit, 4 MiB, should match]
"""


@pytest.mark.parametrize(("kind", "name", "path", "value", "message"), yaml.safe_load(WRONG_AT_THE_EDGE))
def test_the_schemas_of_the_front_door_find_mistakes(
    kubectl: Kubectl, in_prod: list[Manifest], kind: str, name: str, path: str, value: Any, message: str
) -> None:
    item = next(it for it in in_prod if (it.kind, it.name) == (kind, name))
    body = {**item.body, "spec": changed(item.body["spec"], path, value)}
    assert any(message in line for line in complaints(kubectl, [replace(item, body=body)]))


def changed(spec: Any, path: str, value: Any) -> Any:
    """A copy with the field at `a.0.b` set."""
    found = deepcopy(spec)
    *way, last = [int(name) if name.isdigit() else name for name in path.split(".")]
    functools.reduce(operator.getitem, way, found)[last] = value
    return found


def test_mistakes_in_what_the_operator_of_postgres_is_asked_for_are_found(kubectl: Kubectl) -> None:
    """The schema of each kind is in force, the rules in its language included."""
    found = {item.kind: item for item in manifests(evaluated("prod")) if item.kind in OF_POSTGRES}
    wrong: dict[str, dict[str, object]] = {
        "Cluster": {"imageName": "a", "imageCatalogRef": {"name": "b", "kind": "ImageCatalog", "major": 17}},
        "ScheduledBackup": {"method": "pigeon"},
        "ObjectStore": {"configuration": {"destinationPath": "s3://a", "serverName": "b"}},
    }
    for kind, fields in wrong.items():
        body = {**found[kind].body, "spec": {**found[kind].body["spec"], **fields}}
        assert complaints(kubectl, [replace(found[kind], body=body)]), kind


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
    objects = [item for item in manifests(evaluated("prod")) if item.kind in {"Namespace", *OF_SECRETS}]
    bare.kubectl.apply([plain(item.body) for item in objects if item.kind == "Namespace"])
    todo = against(bare.kubectl, "prod", objects, [], "mcp-prod")
    assert [reason.partition(";")[0] for reason in todo.refusals] == [
        f"the cluster has no kind {kind} of external-secrets.io/v1" for kind in sorted(OF_SECRETS)
    ]


def test_a_cluster_without_the_operator_of_postgres_is_told_as_well(
    bare: ControlPlane, tmp_path: Path
) -> None:
    store = {"mode": "in-cluster", "replication": {}}
    objects = manifests(evaluate(tmp_path, postgres=store))
    bare.kubectl.apply([plain(item.body) for item in objects if item.kind == "Namespace"])
    todo = against(bare.kubectl, "dev", objects, [], "mcp-dev")
    assert [reason.partition(";")[0] for reason in todo.refusals] == [
        "the cluster has no kind Cluster of postgresql.cnpg.io/v1"
    ]


def test_a_development_stack_without_monitoring_needs_no_operator(bare: ControlPlane) -> None:
    todo = against(bare.kubectl, "dev", manifests(evaluated("dev")), [], "mcp-dev")
    assert todo.refusals == ()
