from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.engine.graph import UNKNOWN, Graph, Resource, Secret
from infra.engine.manifest import Manifest, manifests
from infra.engine.record import record
from infra.engine.render import missing, to_yaml, write_chart, write_tree
from infra.errors import PlatformError

SMALL = Path(__file__).parent / "programs" / "small"
PASSWORD = "urn:pulumi:test::small::random:index/randomPassword:RandomPassword::db"
KEY = "urn:pulumi:test::small::tls:index/privateKey:PrivateKey::issuer"
GENERATED = {PASSWORD: {"result": "canary-1"}, KEY: {"privateKeyPem": "canary-2", "publicKeyPem": "public"}}
PROVIDER = "urn:pulumi:test::p::pulumi:providers:kubernetes::cluster"


def kubernetes(type_: str, name: str = "x", **inputs: Any) -> Resource:
    metadata = {"name": name, "namespace": "n"} | inputs.pop("metadata", {})
    return Resource(
        type=f"kubernetes:{type_}",
        name=name,
        urn=f"urn:pulumi:test::p::kubernetes:{type_}::{name}",
        inputs={"metadata": metadata, **inputs},
    )


def graph_of(*resources: Resource) -> Graph:
    return Graph("p", "test", resources, {})


def only(*resources: Resource) -> Manifest:
    (item,) = manifests(graph_of(*resources))
    return item


def test_objects_come_in_the_order_of_their_creation() -> None:
    titles = [item.title for item in manifests(record("test", project=SMALL))]
    assert titles == [
        "ConfigMap issuer",
        "Secret db",
        "PersistentVolumeClaim data",
        "Deployment app",
    ]


def test_api_version_and_kind_come_from_the_type() -> None:
    item = only(kubernetes("networking.k8s.io/v1:NetworkPolicy"))
    assert (item.body["apiVersion"], item.body["kind"]) == ("networking.k8s.io/v1", "NetworkPolicy")
    assert only(kubernetes("core/v1:Service")).body["apiVersion"] == "v1"


def test_the_providers_namespace_is_the_default() -> None:
    provider = Resource(
        type="pulumi:providers:kubernetes", name="cluster", urn=PROVIDER, inputs={"namespace": "home"}
    )
    service = Resource(
        type="kubernetes:core/v1:Service",
        name="s",
        urn="u",
        inputs={"metadata": {"name": "s"}},
        provider=f"{PROVIDER}::id",
    )
    item = only(provider, service)
    assert item.namespace == "home"
    assert item.body["metadata"]["namespace"] == "home"


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        (kubernetes("core/v1:Service", metadata={"namespace": ""}), "metadata.namespace must be set"),
        (kubernetes("core/v1:Service", metadata={"name": UNKNOWN}), "metadata.name must be set"),
        (kubernetes("helm.sh/v4:Chart"), "is not one Kubernetes object"),
        (kubernetes("apps/v1:DeploymentPatch"), "is not one Kubernetes object"),
        (kubernetes("core/v1:ConfigMap", data={"a": Secret("canary")}), "ConfigMap x: data.a holds a secret"),
        (kubernetes("core/v1:ConfigMap", data=Secret({"a": "canary"})), "ConfigMap x: data holds a secret"),
    ],
)
def test_what_can_not_be_an_object_is_refused(resource: Resource, message: str) -> None:
    with pytest.raises(PlatformError, match=message) as caught:
        manifests(graph_of(resource))
    assert "canary" not in str(caught.value)


def test_two_objects_of_one_name_are_refused() -> None:
    one, other = kubernetes("core/v1:Service"), kubernetes("core/v1:Service")
    with pytest.raises(PlatformError, match="Service x in namespace n is declared twice"):
        manifests(graph_of(one, other))


def test_a_tree_is_the_same_every_time_and_holds_no_secret(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_tree(manifests(record("test", project=SMALL, generated=GENERATED)), tmp_path / folder)
    one, other = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert one == other
    assert list(one) == [
        "30-configmap-issuer.yaml",
        "36-persistentvolumeclaim-data.yaml",
        "50-deployment-app.yaml",
        "MISSING.txt",
    ]
    assert "canary" not in str(one)
    assert one["MISSING.txt"] == "Secret mcp-test/db: password, user\n"


def test_objects_with_unknown_values_are_left_out_and_listed(tmp_path: Path) -> None:
    objects = manifests(record("test", project=SMALL))
    write_tree(objects, tmp_path / "out")
    assert "30-configmap-issuer.yaml" not in contents(tmp_path / "out")
    assert "ConfigMap mcp-test/issuer: data.public.pem" in missing(objects)


def test_a_second_rendering_removes_what_is_gone_and_nothing_else(tmp_path: Path) -> None:
    write_tree(
        manifests(graph_of(kubernetes("core/v1:Service", "a"), kubernetes("core/v1:Service", "b"))), tmp_path
    )
    write_tree(manifests(graph_of(kubernetes("core/v1:Service", "b"))), tmp_path)
    assert list(contents(tmp_path)) == ["40-service-b.yaml"]
    (tmp_path / "notes.md").write_text("mine")
    with pytest.raises(PlatformError, match=r"holds notes\.md, which is not a rendered file"):
        write_tree([], tmp_path)
    assert list(contents(tmp_path)) == ["40-service-b.yaml", "notes.md"]


def test_one_name_in_two_namespaces_is_two_files(tmp_path: Path) -> None:
    objects = [
        kubernetes("rbac.authorization.k8s.io/v1:Role", "a"),
        kubernetes("rbac.authorization.k8s.io/v1:Role", "b"),
        kubernetes("rbac.authorization.k8s.io/v1:Role", "a", metadata={"namespace": "kube-system"}),
    ]
    write_tree(manifests(graph_of(*objects)), tmp_path)
    assert list(contents(tmp_path)) == ["25-role-a.kube-system.yaml", "25-role-a.yaml", "25-role-b.yaml"]


@pytest.mark.parametrize(
    "text", ["1e3", "0o14", "y", "no", "1.0", "+1", "", "null", "a: b\nc", "2026-01-01", "~"]
)
def test_texts_stay_texts(text: str) -> None:
    written = to_yaml({"text": text})
    assert yaml.safe_load(written) == {"text": text}
    assert text == "a: b\nc" or "'" in written


@pytest.mark.cluster
def test_a_chart_keeps_volumes_and_literal_braces(tmp_path: Path, helm: Path) -> None:
    objects = [
        item for item in manifests(record("test", project=SMALL, generated=GENERATED)) if not item.is_secret
    ]
    write_chart(objects, tmp_path, name="mcp-platform", description="test")
    command = [helm, "template", "mcp-platform", tmp_path, "--namespace", "mcp-test"]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    bodies = {body["kind"]: body for body in yaml.safe_load_all(rendered)}
    template = bodies["Deployment"]["spec"]["template"]
    assert template["metadata"]["annotations"] == {"text": "{{ braces }}"}
    assert bodies["PersistentVolumeClaim"]["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "canary" not in rendered


def test_a_charts_hash_tells_its_content(tmp_path: Path) -> None:
    objects = manifests(graph_of(kubernetes("core/v1:Service", spec={"a": 1})))
    other = manifests(graph_of(kubernetes("core/v1:Service", spec={"a": 2})))
    first = write_chart(objects, tmp_path, name="c", description="")
    assert write_chart(objects, tmp_path, name="c", description="") == first
    assert write_chart(other, tmp_path, name="c", description="") != first


def test_a_chart_refuses_unknown_values(tmp_path: Path) -> None:
    objects = [item for item in manifests(record("test", project=SMALL)) if not item.is_secret]
    with pytest.raises(PlatformError, match=r"ConfigMap issuer: data\.public\.pem is only known after"):
        write_chart(objects, tmp_path, name="c", description="")


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
