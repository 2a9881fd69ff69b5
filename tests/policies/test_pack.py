"""The real pack process over the real analyzer protocol, and how many policies it is made of."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc
from pulumi_policy import EnforcementLevel, StackValidationPolicy
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from policies.pulumi_adapter import TOGETHER, policies
from policies.registry import FAMILIES, RULES
from policies.rule import environment_of

PACK = Path(__file__).parents[2] / "policies"
WIRE_SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
URN = "urn:pulumi:prod::mcp-platform::"
COMPONENT = f"{URN}mcp:platform:Test::test"
NAMESPACES = [f"{URN}kubernetes:core/v1:Namespace::{name}" for name in ("mcp-prod", "mesh")]
Diagnostics = list[analyzer_pb2.AnalyzeDiagnostic]
Edit = Callable[[dict[str, Any]], object]
Change = Callable[[str, Edit], list[dict[str, Any]]]


@contextmanager
def running_pack(stack: str) -> Generator[analyzer_pb2_grpc.AnalyzerStub]:
    """The pack as the Pulumi CLI starts it: in its own folder, stack and all by environment."""
    process = subprocess.Popen(
        [sys.executable, "-u", "."],
        cwd=PACK,
        env={**os.environ, "PULUMI_PROJECT": "mcp-platform", "PULUMI_STACK": stack, "PULUMI_DRY_RUN": "true"},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def prod() -> Iterator[analyzer_pb2_grpc.AnalyzerStub]:
    with running_pack("prod") as stub:
        yield stub


def request_of(item: dict[str, Any]) -> dict[str, Any]:
    version = item["apiVersion"]
    type_ = f"kubernetes:{'core/v1' if version == 'v1' else version}:{item['kind']}"
    name = item["metadata"]["name"]
    return {
        "type": type_,
        "name": name,
        "urn": f"{URN}{type_}::{name}",
        "properties": json_format.ParseDict(item, struct_pb2.Struct()),
        "options": analyzer_pb2.AnalyzerResourceOptions(protect=True, parent=COMPONENT),
        "provider": analyzer_pb2.AnalyzerProviderResource(
            type="pulumi:providers:kubernetes",
            name="cluster",
            urn=f"{URN}pulumi:providers:kubernetes::cluster",
        ),
    }


def analyze(
    stub: analyzer_pb2_grpc.AnalyzerStub,
    items: list[dict[str, Any]],
    live: list[dict[str, Any]] | None = None,
) -> Diagnostics:
    """What the pack says about objects; `live` are the same as the cluster answers, for stack policies."""
    found: Diagnostics = []
    for item in items:
        found += stub.Analyze(analyzer_pb2.AnalyzeRequest(**request_of(item))).diagnostics
    resources = [
        analyzer_pb2.AnalyzerResource(**request_of(item), parent=COMPONENT, dependencies=NAMESPACES)
        for item in live or items
    ]
    images = [
        "localhost/mcp-platform/gateway:6f1ed002ab559585",
        "localhost/mcp-platform/servers:2ab5595856f1ed00",
    ]
    resources.append(
        analyzer_pb2.AnalyzerResource(
            type="docker-build:index:Image",
            name="images",
            urn=f"{URN}docker-build:index:Image::images",
            properties=json_format.ParseDict({"tags": images}, struct_pb2.Struct()),
        )
    )
    found += stub.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=resources)).diagnostics
    return found


@pytest.fixture
def changed(good_objects: list[dict[str, Any]]) -> Change:
    def change(reference: str, edit: Edit) -> list[dict[str, Any]]:
        objects = copy.deepcopy(good_objects)
        edit(next(item for item in objects if f"{item['kind']}/{item['metadata']['name']}" == reference))
        return objects

    return change


def pod(item: dict[str, Any]) -> dict[str, Any]:
    return item["spec"]["template"]["spec"]


def test_the_good_stack_has_no_diagnostics(
    prod: analyzer_pb2_grpc.AnalyzerStub, good_objects: list[dict[str, Any]]
) -> None:
    assert [item.message for item in analyze(prod, good_objects)] == []


def test_a_violation_is_mandatory_and_names_path_and_remedy(
    prod: analyzer_pb2_grpc.AnalyzerStub, changed: Change
) -> None:
    objects = changed(
        "Deployment/gateway",
        lambda item: pod(item)["containers"][0]["securityContext"].update(privileged=True),
    )
    (found,) = analyze(prod, objects)
    assert found.policyName == "pss-privileged"
    assert found.enforcementLevel == analyzer_pb2.MANDATORY
    assert found.severity == analyzer_pb2.POLICY_SEVERITY_CRITICAL
    assert "$.spec.template.spec.containers[0].securityContext.privileged: " in found.message
    assert RULES["pss-privileged"].remediation in found.message


def test_a_whole_stack_violation_names_its_rule_and_resource(
    prod: analyzer_pb2_grpc.AnalyzerStub, changed: Change
) -> None:
    objects = changed("Service/gateway", lambda item: item["spec"]["ports"][0].update(targetPort="http"))
    (found,) = analyze(prod, objects)
    assert found.policyName == "network-of-stack"
    assert found.urn.endswith("::gateway")
    assert "service-port-matches: Service mcp-prod/gateway: $.spec.ports[0].targetPort" in found.message


def test_defaults_that_the_cluster_filled_in_are_not_the_programs(
    prod: analyzer_pb2_grpc.AnalyzerStub, good_objects: list[dict[str, Any]], changed: Change
) -> None:
    live = changed("Deployment/gateway", lambda item: item["spec"].update(replicas=1))
    assert analyze(prod, good_objects, live) == []
    assert "autoscaler-owns-replicas" in analyze(prod, live)[0].message


def test_an_unknown_value_is_said_aloud_and_other_rules_still_run(
    prod: analyzer_pb2_grpc.AnalyzerStub, changed: Change
) -> None:
    def edit(item: dict[str, Any]) -> None:
        pod(item)["containers"][0]["image"] = UNKNOWN_STRING_VALUE
        pod(item)["hostNetwork"] = True

    found = {
        (item.policyName, item.enforcementLevel, item.severity)
        for item in analyze(prod, changed("Deployment/gateway", edit))
    }
    assert found == {
        ("pss-host-namespaces", analyzer_pb2.MANDATORY, analyzer_pb2.POLICY_SEVERITY_CRITICAL),
        ("unverifiable", analyzer_pb2.ADVISORY, analyzer_pb2.POLICY_SEVERITY_LOW),
        ("stack-advice", analyzer_pb2.ADVISORY, analyzer_pb2.POLICY_SEVERITY_LOW),
    }


@pytest.mark.parametrize(
    ("value", "policies_found"),
    [
        ("hunter2", {"plain-secret"}),
        ({**WIRE_SECRET, "value": "hunter2"}, set[str]()),
        ({**WIRE_SECRET, "value": UNKNOWN_STRING_VALUE}, set[str]()),
    ],
    ids=["in plain text", "marked", "marked and not known yet"],
)
def test_a_secret_is_told_from_plain_text_by_its_mark(
    prod: analyzer_pb2_grpc.AnalyzerStub,
    changed: Change,
    value: Any,
    policies_found: set[str],
) -> None:
    objects = changed("Secret/postgres-auth", lambda item: item.update(stringData={"password": value}))
    found = analyze(prod, objects)
    assert {item.policyName for item in found} == policies_found
    assert not any("hunter2" in item.message for item in found)


def test_an_exemption_is_advice_until_it_ends(prod: analyzer_pb2_grpc.AnalyzerStub, changed: Change) -> None:
    def edit(until: str) -> Edit:
        def apply(item: dict[str, Any]) -> None:
            pod(item)["hostAliases"] = [{"ip": "10.0.0.1", "hostnames": ["a"]}]
            text = f"no-host-aliases: the vendor asks for it (until {until})"
            item["metadata"]["annotations"] = {"mcp-platform.dev/policy-exempt": text}

        return apply

    tomorrow = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 86400))
    (found,) = analyze(prod, changed("Deployment/gateway", edit(tomorrow)))
    assert (found.policyName, found.enforcementLevel) == ("exempted", analyzer_pb2.ADVISORY)
    assert "the vendor asks for it" in found.message
    ended = analyze(prod, changed("Deployment/gateway", edit("2020-01-01")))
    assert {item.policyName for item in ended} == {"no-host-aliases", "exemption-valid"}


def test_a_malformed_object_fails_rather_than_passes(
    prod: analyzer_pb2_grpc.AnalyzerStub, changed: Change
) -> None:
    found = analyze(
        prod, changed("Deployment/gateway", lambda item: item["spec"]["template"].update(spec="none"))
    )
    assert {"pss-privileged", "image-tag", "resource-requests"} <= {item.policyName for item in found}


def test_settings_come_from_the_packs_configuration(changed: Change) -> None:
    objects = changed("Deployment/gateway", lambda item: pod(item).update(terminationGracePeriodSeconds=25))
    with running_pack("prod") as stub:
        settings = struct_pb2.Struct()
        settings.update({"drainSeconds": 30})
        config = analyzer_pb2.PolicyConfig(enforcementLevel=analyzer_pb2.MANDATORY, properties=settings)
        stub.Configure(analyzer_pb2.ConfigureAnalyzerRequest(policyConfig={"termination-grace": config}))
        assert {item.policyName for item in analyze(stub, objects)} == {"termination-grace"}


def test_the_pack_describes_every_rule(prod: analyzer_pb2_grpc.AnalyzerStub) -> None:
    info = prod.GetAnalyzerInfo(empty_pb2.Empty())
    assert info.name == "mcp-platform"
    described = {item.name: item for item in info.policies}
    for rule in RULES.values():
        if rule.check_object:
            assert described[rule.id].remediation_steps == rule.remediation
    assert list(described["termination-grace"].configSchema.properties) == ["drainSeconds"]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_at_most_eight_policies_look_at_the_whole_stack(environment: str) -> None:
    made = policies(environment)
    assert sum(isinstance(policy, StackValidationPolicy) for policy in made) <= 8
    assert len({policy.name for policy in made}) == len(made)
    levels = {policy.name: policy.enforcement_level for policy in made}
    assert levels["image-pinned"] is (
        EnforcementLevel.ADVISORY if environment == "dev" else EnforcementLevel.MANDATORY
    )


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_every_whole_stack_rule_is_in_one_of_them(environment: str) -> None:
    assert {family.together for family in FAMILIES} == set(TOGETHER)
    made = {policy.name for policy in policies(environment)}
    assert {f"{name}-of-stack" for name in TOGETHER} <= made


@pytest.mark.parametrize(
    ("stack", "environment"),
    [
        ("dev", "dev"),
        ("dev-ana", "dev"),
        ("acme/mcp/dev", "dev"),
        ("prod", "prod"),
        ("devil", "prod"),
        ("", "prod"),
        (None, "prod"),
    ],
)
def test_every_stack_but_dev_gets_the_strictest_rules(stack: str | None, environment: str) -> None:
    assert environment_of(stack) == environment


def without_component(item: dict[str, Any]) -> None:
    del item["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]


def without_seccomp(item: dict[str, Any]) -> None:
    del pod(item)["securityContext"]["seccompProfile"]


def server_with_token(item: dict[str, Any]) -> None:
    del pod(item)["automountServiceAccountToken"]
    item["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] = "server"


@pytest.mark.parametrize(
    ("remedy", "edit", "path", "value"),
    [
        (
            "recommended-labels",
            without_component,
            "template metadata labels app.kubernetes.io/component",
            "database",
        ),
        (
            "pss-seccomp-restricted",
            without_seccomp,
            "template spec securityContext seccompProfile type",
            "RuntimeDefault",
        ),
        ("mcp-no-cluster-token", server_with_token, "template spec automountServiceAccountToken", False),
    ],
    ids=["labels", "seccomp", "token"],
)
def test_at_level_remediate_what_is_missing_is_added(
    changed: Change, remedy: str, edit: Edit, path: str, value: Any
) -> None:
    objects = changed("StatefulSet/postgres", edit)
    subject = next(item for item in objects if item["kind"] == "StatefulSet")
    pod(subject)["containers"][0].setdefault("env", []).extend(
        [
            {"name": "A", "value": {**WIRE_SECRET, "value": "kept"}},
            {"name": "B", "value": UNKNOWN_STRING_VALUE},
        ]
    )
    with running_pack("prod") as stub:
        config = analyzer_pb2.PolicyConfig(enforcementLevel=analyzer_pb2.REMEDIATE)
        stub.Configure(analyzer_pb2.ConfigureAnalyzerRequest(policyConfig={remedy: config}))
        request = analyzer_pb2.AnalyzeRequest(**request_of(subject))
        assert remedy in {item.policyName for item in stub.Analyze(request).diagnostics}
        (remedied,) = stub.Remediate(request).remediations
        found: Any = json_format.MessageToDict(remedied.properties)
        secret, unknown = pod(found)["containers"][0]["env"][-2:]
        request.properties.CopyFrom(remedied.properties)
        assert remedy not in {item.policyName for item in stub.Analyze(request).diagnostics}
        assert not stub.Remediate(request).remediations
    assert remedied.policyName == remedy
    assert secret["value"]["value"] == "kept"
    assert unknown["value"] == UNKNOWN_STRING_VALUE
    found = found["spec"]
    for name in path.split():
        found = found[name]
    assert found == value


def test_what_is_malformed_or_not_known_is_left_as_it_is(changed: Change) -> None:
    def unsure(item: dict[str, Any]) -> None:
        del pod(item)["automountServiceAccountToken"]
        item["spec"]["template"]["metadata"]["labels"] = UNKNOWN_STRING_VALUE

    def malformed(item: dict[str, Any]) -> None:
        item["spec"]["template"]["metadata"] = "none"

    with running_pack("prod") as stub:
        level = analyzer_pb2.PolicyConfig(enforcementLevel=analyzer_pb2.REMEDIATE)
        names = ("recommended-labels", "mcp-no-cluster-token")
        stub.Configure(analyzer_pb2.ConfigureAnalyzerRequest(policyConfig=dict.fromkeys(names, level)))
        for edit in (unsure, malformed):
            for item in changed("StatefulSet/postgres", edit):
                assert not stub.Remediate(analyzer_pb2.AnalyzeRequest(**request_of(item))).remediations


def test_without_the_level_nothing_is_put_right(
    prod: analyzer_pb2_grpc.AnalyzerStub, changed: Change
) -> None:
    objects = changed("Deployment/gateway", lambda item: item["metadata"].pop("labels"))
    for item in objects:
        assert not prod.Remediate(analyzer_pb2.AnalyzeRequest(**request_of(item))).remediations
