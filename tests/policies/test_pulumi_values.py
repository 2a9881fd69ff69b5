"""What the SDK really passes becomes plain data: proxies, unknowns, secrets, floats."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_policy import (
    PolicyCustomTimeouts,
    PolicyProviderResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from pulumi_policy.deserialize import deserialize_properties
from pulumi_policy.proxy import UNKNOWN_OBJECT_VALUE, UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policies.node import UNKNOWN, Secret
from policies.pulumi_adapter import policies
from policies.pulumi_values import built_images, kubernetes_object, plain, remembered

WIRE_SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}


def through_proxy(properties: dict[str, Any]) -> Any:
    """As a policy gets them: the marks of secrets are gone."""
    return unknown_checking_proxy(deserialize_properties(properties))


def with_marks(properties: dict[str, Any]) -> Any:
    """As a policy gets them once `adapt_sdk` has been called."""
    return unknown_checking_proxy(deserialize_properties(properties, proxy_secrets=True))


@pytest.mark.parametrize("proxy", [through_proxy, with_marks])
def test_proxies_become_dicts_lists_and_whole_numbers(proxy: Any) -> None:
    converted = plain(proxy({"a": [{"b": 2.0}, 1.5, None, True], "c": {}}))
    assert converted == {"a": [{"b": 2}, 1.5, None, True], "c": {}}
    assert isinstance(converted["a"][0]["b"], int)
    assert isinstance(converted["a"], list)


@pytest.mark.parametrize("proxy", [through_proxy, with_marks])
def test_unknowns_become_the_one_unknown_and_raise_nothing(proxy: Any) -> None:
    converted = plain(proxy({"a": UNKNOWN_STRING_VALUE, "b": [UNKNOWN_OBJECT_VALUE], "c": "known"}))
    assert converted["a"] is UNKNOWN
    assert converted["b"][0] is UNKNOWN
    assert converted["c"] == "known"


def test_secrets_keep_their_mark_at_any_depth() -> None:
    converted = plain(
        with_marks(
            {"data": {"a": {**WIRE_SECRET, "value": "x"}}, "all": {**WIRE_SECRET, "value": {"b": [1.0]}}}
        )
    )
    assert isinstance(converted["data"]["a"], Secret)
    assert converted["data"]["a"].value == "x"
    assert converted["all"].value == {"b": [1]}


def test_a_secret_can_be_unknown() -> None:
    converted = plain(with_marks({"a": {**WIRE_SECRET, "value": UNKNOWN_STRING_VALUE}}))
    assert converted["a"].value is UNKNOWN


def test_a_resource_becomes_an_object_by_its_type_token() -> None:
    props = through_proxy({"metadata": {"namespace": "n"}, "spec": {}})
    made = kubernetes_object("kubernetes:apps/v1:Deployment", props, "urn:x", "web")
    assert made is not None
    assert (made.kind, made.label, made.origin) == ("Deployment.apps", "Deployment n/web", "urn:x")
    service = kubernetes_object("kubernetes:core/v1:Service", props, "urn:y", "s")
    assert service is not None
    assert service.kind == "Service"


@pytest.mark.parametrize(
    "type_",
    [
        "aws:s3/bucket:Bucket",
        "pulumi:providers:kubernetes",
        "mcp:service:Gateway",
        "kubernetes:helm.sh/v4:Chart",
        "kubernetes:yaml/v2:ConfigGroup",
    ],
)
def test_other_resources_are_no_objects(type_: str) -> None:
    assert kubernetes_object(type_, through_proxy({}), "urn:x", "x") is None


def test_built_images_are_the_tags_and_the_reference_of_every_build() -> None:
    resources = [
        (
            "docker-build:index:Image",
            through_proxy({"tags": ["a:1", UNKNOWN_STRING_VALUE], "ref": UNKNOWN_STRING_VALUE}),
        ),
        ("docker-build:index:Image", through_proxy({"tags": ["b:1"], "ref": "b:1@sha256:2"})),
        ("aws:s3/bucket:Bucket", through_proxy({"tags": {"a": "b"}})),
    ]
    assert built_images(resources) == {"a:1", "b:1", "b:1@sha256:2"}


@pytest.mark.parametrize("proxy", [through_proxy, with_marks])
def test_every_resource_policy_runs_over_proxies_with_unknowns(
    proxy: Any, good_objects: list[dict[str, Any]]
) -> None:
    options = PolicyResourceOptions(False, [], False, [], PolicyCustomTimeouts(0, 0, 0), [], "urn:component")  # noqa: FBT003 - the SDK's own signature
    provider = PolicyProviderResource("pulumi:providers:kubernetes", {}, "urn", "cluster")
    deployment = next(item for item in good_objects if item["kind"] == "Deployment")
    props = {**deployment, "spec": {**deployment["spec"], "template": UNKNOWN_OBJECT_VALUE}}
    reports: dict[str, list[str]] = {}
    for policy in policies("prod"):
        if isinstance(policy, ResourceValidationPolicy):
            args = ResourceValidationArgs(
                "kubernetes:apps/v1:Deployment", proxy(props), "urn", "x", options, provider, {}
            )
            policy.validate(
                args, lambda message, _urn, name=policy.name: reports.setdefault(name, []).append(message)
            )
    assert set(reports) == {"unverifiable"}
    assert any(
        text.startswith("pss-privileged: Deployment mcp-prod/gateway: ") for text in reports["unverifiable"]
    )


def test_a_resource_is_read_once_and_another_one_anew() -> None:
    read: list[dict[str, int]] = []

    def count(about: dict[str, int], *_more: object) -> int:
        read.append(about)
        return about["a"]

    ask = remembered(count)
    first, equal = {"a": 1}, {"a": 1}
    assert [ask(first), ask(first), ask(equal), ask(first)] == [1, 1, 1, 1]
    assert [item is first for item in read] == [True, False]
    ask(first, "otherwise")
    assert len(read) == 3


@pytest.mark.parametrize("version", [UNKNOWN_STRING_VALUE, None, 1.0])
def test_an_objects_kind_is_known_by_its_type_where_its_properties_do_not_say(version: Any) -> None:
    props = through_proxy({"apiVersion": version, "kind": "Deployment", "spec": {"replicas": 1.0}})
    found = kubernetes_object("kubernetes:apps/v1:Deployment", props, "urn", "a")
    assert found is not None
    assert found.kind == "Deployment.apps"
