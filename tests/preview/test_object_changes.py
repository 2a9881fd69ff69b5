"""What becomes of objects between two revisions: paired as Pulumi pairs, replaced as providers replace."""

from __future__ import annotations

from typing import Any

import pytest

from infra.comparison.object_changes import IN_PLACE_OR_NOT, Operation, compare
from infra.comparison.redaction import LATER, OTHER
from infra.comparison.replacement import ANOTHER_PLACE, MOVED
from infra.comparison.secret_texts import HIDDEN
from infra.engine.graph import UNKNOWN, Secret
from tests.preview.graphs import CLUSTER, changes, component, graph, kubernetes, resource


def service(**spec: Any) -> Any:
    return kubernetes("core/v1:Service", "web", {"ports": [{"name": "http", "port": 80}], **spec})


def test_what_is_the_same_is_not_shown_but_counted() -> None:
    both = graph(component("web"), service())
    found = compare(both, both)
    assert found.changes == ()
    assert found.unchanged == 1


def test_objects_are_created_changed_and_deleted() -> None:
    old = graph(service(), kubernetes("core/v1:ConfigMap", "gone"))
    new = graph(service(type="NodePort"), kubernetes("core/v1:ConfigMap", "come"))
    found = changes(old, new)
    assert {name: item.operation for name, item in found.items()} == {
        "Service/web": Operation.CHANGE,
        "ConfigMap/come": Operation.CREATE,
        "ConfigMap/gone": Operation.DELETE,
    }
    assert list(map(str, found["Service/web"].changes)) == ["spec.type: (none) → NodePort"]
    assert not any(item.guarded for item in found.values())


@pytest.mark.parametrize(
    ("kind", "old", "new", "reason"),
    [
        (
            "apps/v1:Deployment",
            {"selector": {"matchLabels": {"a": "1"}}},
            {"selector": {"matchLabels": {"a": "2"}}},
            "spec.selector.matchLabels.a",
        ),
        (
            "apps/v1:StatefulSet",
            {"volumeClaimTemplates": [{"spec": {"storage": "1Gi"}}]},
            {"volumeClaimTemplates": [{"spec": {"storage": "2Gi"}}]},
            "spec.volumeClaimTemplates[0].spec.storage",
        ),
        ("core/v1:Service", {"clusterIP": "None"}, {}, "spec.clusterIP"),
        (
            "core/v1:PersistentVolumeClaim",
            {"storageClassName": "gp3"},
            {"storageClassName": "efs"},
            "spec.storageClassName",
        ),
        (
            "core/v1:PersistentVolumeClaim",
            {"resources": {"requests": {"storage": "2Gi"}}},
            {"resources": {"requests": {"storage": "1Gi"}}},
            "spec.resources.requests.storage",
        ),
        ("batch/v1:Job", {"template": {"a": 1}}, {"template": {"a": 2}}, "spec.template.a"),
    ],
)
def test_a_field_that_cannot_change_in_place_replaces_the_object(
    kind: str, old: dict[str, Any], new: dict[str, Any], reason: str
) -> None:
    before, after = graph(kubernetes(kind, "x", old)), graph(kubernetes(kind, "x", new))
    (item,) = changes(before, after).values()
    assert item.operation is Operation.REPLACE
    assert item.reasons == (reason,)


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("apps/v1:Deployment", {"replicas": 1}, {"replicas": 2}),
        ("apps/v1:StatefulSet", {"template": {"a": 1}}, {"template": {"a": 2}}),
        (
            "core/v1:PersistentVolumeClaim",
            {"resources": {"requests": {"storage": "1Gi"}}},
            {"resources": {"requests": {"storage": "2Gi"}}},
        ),
        ("core/v1:Service", {"clusterIPsX": 1}, {"clusterIPsX": 2}),
    ],
)
def test_what_can_change_in_place_is_not_replaced(
    kind: str, old: dict[str, Any], new: dict[str, Any]
) -> None:
    (item,) = changes(graph(kubernetes(kind, "x", old)), graph(kubernetes(kind, "x", new))).values()
    assert item.operation is Operation.CHANGE


def test_another_name_or_namespace_replaces_and_the_old_name_is_what_is_lost() -> None:
    old = kubernetes("apps/v1:StatefulSet", "db", {})
    renamed = {"metadata": {"name": "db2", "namespace": "mcp-test"}}
    new = kubernetes("apps/v1:StatefulSet", "db", {}, inputs=renamed)
    (item,) = changes(graph(old), graph(new)).values()
    assert (item.operation, item.reasons, item.reference) == (
        Operation.REPLACE,
        ("metadata.name",),
        "StatefulSet/db",
    )
    assert item.guarded


def test_immutable_contents_are_replaced() -> None:
    old = kubernetes("core/v1:ConfigMap", "c", inputs={"data": {"a": "1"}, "immutable": True})
    new = kubernetes("core/v1:ConfigMap", "c", inputs={"data": {"a": "2"}, "immutable": True})
    assert changes(graph(old), graph(new))["ConfigMap/c"].reasons == ("data.a",)


def test_an_alias_keeps_an_object_and_its_findings_when_it_moves() -> None:
    parent = component("web")
    old = kubernetes("apps/v1:StatefulSet", "db", {"replicas": 1})
    aliases = [{"noParent": True}]
    new = kubernetes(
        "apps/v1:StatefulSet", "db", {"replicas": 2}, parent=parent.urn, options={"aliases": aliases}
    )
    found = compare(graph(old), graph(parent, new))
    assert [(item.operation, item.reference) for item in found.changes] == [
        (Operation.CHANGE, "StatefulSet/db")
    ]
    assert found.new_urns == {old.urn: new.urn}


def test_a_parents_alias_is_its_childrens_too() -> None:
    before, after = component("old"), component("new")
    after = resource(after.type, "new", {}, custom=False, options={"aliases": [{"name": "old"}]})
    old = kubernetes("apps/v1:StatefulSet", "db", {}, parent=before.urn)
    new = kubernetes("apps/v1:StatefulSet", "db", {}, parent=after.urn)
    assert compare(graph(before, old), graph(after, new)).changes == ()


def test_moving_without_an_alias_is_a_replacement() -> None:
    parent = component("web")
    old = kubernetes("core/v1:PersistentVolumeClaim", "data", {})
    new = kubernetes("core/v1:PersistentVolumeClaim", "data", {}, parent=parent.urn)
    (item,) = changes(graph(old), graph(parent, new)).values()
    assert (item.operation, item.reasons, item.guarded) == (Operation.REPLACE, (MOVED,), True)


def test_another_version_of_the_api_is_a_change_where_the_sdk_names_the_old_type() -> None:
    old = kubernetes("autoscaling/v1:HorizontalPodAutoscaler", "web", {"maxReplicas": 3})
    aliases = [{"type": "kubernetes:autoscaling/v1:HorizontalPodAutoscaler"}]
    new = kubernetes(
        "autoscaling/v2:HorizontalPodAutoscaler", "web", {"maxReplicas": 3}, options={"aliases": aliases}
    )
    (item,) = changes(graph(old), graph(new)).values()
    assert item.operation is Operation.CHANGE
    assert list(map(str, item.changes)) == ["apiVersion: autoscaling/v1 → autoscaling/v2"]


def test_replace_on_changes_and_ignore_changes_are_the_programs_word() -> None:
    old = kubernetes("core/v1:Service", "web", {"type": "ClusterIP", "x": 1})
    options = {"replaceOnChanges": ["spec.type"], "ignoreChanges": ["spec.x"]}
    new = kubernetes("core/v1:Service", "web", {"type": "NodePort", "x": 2}, options=options)
    (item,) = changes(graph(old), graph(new)).values()
    assert (item.operation, item.reasons) == (Operation.REPLACE, ("spec.type",))
    assert [change.path for change in item.changes] == ["spec.type"]


@pytest.mark.parametrize(
    ("type_", "old", "new", "operation", "guarded"),
    [
        ("aws:s3/bucket:Bucket", {"bucket": "a"}, {"bucket": "b"}, Operation.REPLACE, True),
        ("aws:s3/bucket:Bucket", {"tags": {"a": "1"}}, {"tags": {"a": "2"}}, Operation.CHANGE, False),
        ("aws:rds/instance:Instance", {"engine": "a"}, {"engine": "b"}, Operation.REPLACE, True),
        ("aws:rds/instance:Instance", {"multiAz": False}, {"multiAz": True}, Operation.CHANGE, False),
        ("aws:kms/key:Key", {"keyUsage": "a"}, {"keyUsage": "b"}, Operation.REPLACE, True),
        ("aws:iam/role:Role", {"name": "a"}, {"name": "b"}, Operation.REPLACE, False),
        (
            "random:index/randomPassword:RandomPassword",
            {"length": 1},
            {"length": 2},
            Operation.REPLACE,
            False,
        ),
        ("docker:index/container:Container", {"image": "a"}, {"image": "b"}, Operation.REPLACE, False),
        ("docker:index/volume:Volume", {"driver": "a"}, {"driver": "b"}, Operation.REPLACE, True),
        ("docker-build:index:Image", {"tags": ["a"]}, {"tags": ["b"]}, Operation.CHANGE, False),
    ],
)
def test_other_providers_resources_are_changed_or_replaced(
    type_: str, old: dict[str, Any], new: dict[str, Any], operation: Operation, guarded: bool
) -> None:
    (item,) = changes(graph(resource(type_, "x", old)), graph(resource(type_, "x", new))).values()
    assert (item.operation, item.guarded) == (operation, guarded)


def test_of_a_type_that_is_not_known_it_says_so() -> None:
    old, new = (resource("gcp:x/y:Z", "x", {"size": size}) for size in (1, 2))
    (item,) = changes(graph(old), graph(new)).values()
    assert (item.operation, item.note) == (Operation.CHANGE, IN_PLACE_OR_NOT)


def test_another_cluster_replaces_all_that_is_in_it() -> None:
    def in_cluster(context: str) -> Any:
        provider = resource(
            "pulumi:providers:kubernetes", "cluster", {"context": context, "version": context}
        )
        return graph(provider, kubernetes("apps/v1:StatefulSet", "db", {}, provider=f"{CLUSTER}::id"))

    found = changes(in_cluster("one"), in_cluster("two"))
    assert found["StatefulSet/db"].reasons == (ANOTHER_PLACE,)
    assert found["StatefulSet/db"].guarded
    assert list(map(str, found["Provider/cluster"].changes)) == ["context: one → two"]


def test_the_providers_namespace_is_the_objects() -> None:
    provider = resource("pulumi:providers:kubernetes", "cluster", {"namespace": "from-provider"})
    item = resource(
        "kubernetes:core/v1:ConfigMap", "c", {"metadata": {"name": "c"}}, provider=f"{CLUSTER}::id"
    )
    found = changes(graph(provider), graph(provider, item))
    assert found["ConfigMap/c"].name.namespace == "from-provider"


@pytest.mark.parametrize(
    "item",
    [
        kubernetes("core/v1:Namespace", "x"),
        kubernetes("core/v1:PersistentVolumeClaim", "x"),
        kubernetes("apps/v1:StatefulSet", "x"),
        kubernetes("postgresql.cnpg.io/v1:Cluster", "x"),
        kubernetes("apiextensions.k8s.io/v1:CustomResourceDefinition", "x"),
        kubernetes("core/v1:ConfigMap", "x", options={"protect": True}),
        resource("aws:ecr/repository:Repository", "x", {}),
        resource("aws:elasticache/replicationGroup:ReplicationGroup", "x", {}),
        resource("aws:kms/key:Key", "x", {}),
        resource("aws:rds/instance:Instance", "x", {}),
        resource("aws:s3/bucket:Bucket", "x", {}),
        resource("aws:secretsmanager/secret:Secret", "x", {}),
        resource("docker:index/volume:Volume", "x", {}),
    ],
    ids=lambda item: item.type,
)
def test_deleting_what_is_protected_must_be_acknowledged(item: Any) -> None:
    (found,) = changes(graph(item), graph()).values()
    assert (found.operation, found.guarded) == (Operation.DELETE, True)


def test_a_volume_that_the_program_fills_itself_is_not_protected() -> None:
    files = resource("mcp:docker:FileVolumes", "gateway", {}, custom=False)
    volume = resource("docker:index/volume:Volume", "gateway-etc", {}, parent=files.urn)
    (found,) = changes(graph(files, volume), graph(files)).values()
    assert (found.operation, found.guarded) == (Operation.DELETE, False)


def test_a_cluster_of_another_operator_is_not_protected() -> None:
    (found,) = changes(graph(kubernetes("example.com/v1:Cluster", "x")), graph()).values()
    assert not found.guarded


def test_secrets_are_compared_and_never_in_a_change() -> None:
    def secrets(text: str) -> Any:
        held = kubernetes(
            "core/v1:Secret", "s", inputs={"stringData": Secret({"a": text}), "data": {"b": text}}
        )
        env = [{"name": "DB_PASSWORD", "value": text}, {"name": "PLAIN", "value": "same"}]
        url = {
            "url": f"postgres://user:{text}@host/db",
            "flag": f"--password={text}",
            "ini": f"host = db\npassword = {text}\n",
            "env": [f"A_TOKEN=x,{text} y"],
        }
        spec = {"template": {"spec": {"containers": [{"name": "a", "env": env}]}}, **url}
        database = resource("aws:rds/instance:Instance", "db", {"password": text, "tags": [Secret(text)]})
        image = resource("docker-build:index:Image", "i", {"secrets": {"token": text}})
        return graph(held, kubernetes("apps/v1:Deployment", "d", spec), database, image)

    found = changes(secrets("canary-one"), secrets("canary-two"))
    assert "canary" not in repr(found)
    shown = {change.path: (change.old, change.new) for item in found.values() for change in item.changes}
    assert shown["data.b"] == (HIDDEN, OTHER)
    assert shown["stringData"] == (HIDDEN, OTHER)
    assert shown["spec.template.spec.containers[a].env[DB_PASSWORD].value"] == (HIDDEN, OTHER)
    assert shown["password"] == (HIDDEN, OTHER)
    assert shown["spec.url"] == (f"postgres://{HIDDEN}@host/db", OTHER)
    assert shown["spec.ini"] == (HIDDEN, OTHER)
    assert shown["secrets.token"] == (HIDDEN, OTHER)


def test_what_is_not_known_yet_is_told_and_is_no_difference() -> None:
    old = kubernetes("core/v1:ConfigMap", "c", inputs={"data": {"a": UNKNOWN, "b": "1"}})
    new = kubernetes("core/v1:ConfigMap", "c", inputs={"data": {"a": UNKNOWN, "b": UNKNOWN}})
    (item,) = changes(graph(old), graph(new)).values()
    assert list(map(str, item.changes)) == [f"data.b: 1 → {LATER}"]


def test_the_names_of_secrets_are_shown() -> None:
    def uses(name: str) -> Any:
        source = {"secretKeyRef": {"name": name, "key": "password"}}
        env = [{"name": "DB_PASSWORD", "valueFrom": source}]
        pod = {"containers": [{"name": "a", "env": env}], "automountServiceAccountToken": name == "one"}
        return graph(kubernetes("apps/v1:Deployment", "d", {"template": {"spec": pod}}))

    (item,) = changes(uses("one"), uses("two")).values()
    assert sorted(map(str, item.changes)) == [
        "spec.template.spec.automountServiceAccountToken: true → false",
        "spec.template.spec.containers[a].env[DB_PASSWORD].valueFrom.secretKeyRef.name: one → two",
    ]


def test_the_arns_of_secrets_are_shown() -> None:
    def policy(name: str) -> Any:
        return graph(
            resource("aws:iam/rolePolicy:RolePolicy", "p", {"policy": f"arn:aws:x:y:1:secret:{name}"})
        )

    (item,) = changes(policy("one"), policy("two")).values()
    assert item.changes[0].new == "arn:aws:x:y:1:secret:two"
