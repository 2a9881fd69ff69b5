"""What only a program shows, as the engine sends it: the real graph of prod, changed in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from infra.engine.check import check
from infra.engine.graph import UNKNOWN, Graph, Resource
from infra.engine.record import REPOSITORY
from infra.engine.violation import Violation
from policies.node import Node
from policies.program import Resource as Declared
from policies.program import made_before
from tests.infra.variants import STORES, evaluate_prod

EVERYTHING_ALLOWED = '{"Statement": [{"Effect": "Allow", "Action": "*"}]}'
Change = Callable[[Resource], Resource]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return evaluate_prod(tmp_path_factory.mktemp("prod"), aws=STORES)


def found(graph: Graph, kind: str, change: Change) -> set[str]:
    """The mandatory policies that a graph violates whose resources of a kind are changed."""
    resources = tuple(change(item) if item.type.endswith(f":{kind}") else item for item in graph.resources)
    assert resources != graph.resources
    violations = check(replace(graph, resources=resources), REPOSITORY / "policies")
    return {item.policy for item in violations if item.mandatory}


def with_values(**values: Any) -> Change:
    return lambda item: replace(item, inputs={**item.inputs, **values}, outputs={**item.outputs, **values})


def unprotected(item: Resource) -> Resource:
    return replace(item, options={})


def without_provider(item: Resource) -> Resource:
    return replace(item, provider="")


def without_parent(item: Resource) -> Resource:
    return replace(item, parent="")


def of_collectors(violation: Violation) -> bool:
    """Advice that says what those that read the nodes' logs are exempt from (ADR 35)."""
    return violation.policy == "exempted" and "logs-mcp-prod" in violation.message


def test_the_whole_of_prod_keeps_every_policy(graph: Graph) -> None:
    found = check(graph, REPOSITORY / "policies")
    assert [item for item in found if not of_collectors(item)] == []
    assert {item.message.partition(":")[0] for item in found} == {
        "namespace-pod-security",
        "pss-host-path",
        "pss-volume-types",
    }


@pytest.mark.parametrize(
    ("kind", "change", "policy"),
    [
        ("StatefulSet", unprotected, "stateful-protected"),
        ("Deployment", without_provider, "explicit-provider"),
        ("ConfigMap", without_parent, "resource-parent"),
        ("Instance", with_values(multiAz=False), "rds-multi-az"),
        ("Instance", with_values(password="hunter2"), "secret-input-marked"),
        ("ReplicationGroup", with_values(transitEncryptionEnabled=False), "elasticache-encrypted"),
        ("RolePolicy", with_values(policy=EVERYTHING_ALLOWED), "iam-no-star"),
        ("BucketVersioning", with_values(versioningConfiguration={"status": "Suspended"}), "cloud-of-stack"),
        ("BucketPublicAccessBlock", with_values(blockPublicAcls=False), "cloud-of-stack"),
    ],
)
def test_a_change_for_the_worse_is_found(graph: Graph, kind: str, change: Change, policy: str) -> None:
    assert policy in found(graph, kind, change)


def test_a_bucket_is_known_by_what_a_property_was_computed_from(graph: Graph) -> None:
    assert found(graph, "BucketVersioning", with_values(bucket=UNKNOWN)) == set()


def test_a_bucket_that_is_not_known_at_all_is_advice(graph: Graph) -> None:
    def change(item: Resource) -> Resource:
        changed = with_values(bucket=UNKNOWN)(item)
        return replace(changed, dependencies=(), property_dependencies={})

    resources = tuple(
        change(item) if item.type.endswith(":BucketVersioning") else item for item in graph.resources
    )
    checked = check(replace(graph, resources=resources), REPOSITORY / "policies")
    violations = [item for item in checked if not of_collectors(item)]
    assert [(item.policy, item.mandatory) for item in violations] == [("stack-advice", False)]
    assert "s3-versioned" in violations[0].message


def test_objects_wait_for_their_namespace_by_way_of_their_components(graph: Graph) -> None:
    without = replace(
        graph,
        resources=tuple(replace(item, dependencies=(), property_dependencies={}) for item in graph.resources),
    )
    assert {item.policy for item in check(without, REPOSITORY / "policies") if item.mandatory} == {
        "program-of-stack"
    }


def test_what_comes_before_is_followed_through_parents_and_circles() -> None:
    def declared(urn: str, parent: str = "", *after: str) -> Declared:
        return Declared(
            type="a:b:C", name=urn, urn=urn, node=Node({}), parent=parent, dependencies=frozenset(after)
        )

    every = [declared("child", "parent"), declared("parent", "", "a"), declared("a", "", "b")]
    items = {item.urn: item for item in (*every, declared("b", "", "a"))}
    assert made_before(items["child"], items) == {"a", "b"}
