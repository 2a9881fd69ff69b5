"""Check a graph against a policy pack: every resource, then the stack as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import grpc
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2

from infra.engine import wire
from infra.engine.analyzer import CALL_TIMEOUT, Analyzer
from infra.engine.graph import Data, Graph, Resource, Secret

MANDATORY: Final = "mandatory"
HIDDEN: Final = "[secret]"


@dataclass(frozen=True, slots=True)
class Violation:
    """What a policy says about a resource.

    Attributes:
        policy: The policy's name.
        urn: The resource, or "" where the policy speaks of the whole stack.
        message: What is wrong and what to do.
        enforcement: `mandatory` (stops a deployment) or `advisory`.
        severity: `low`, `medium`, `high`, `critical`, or "" where the policy has none.
    """

    policy: str
    urn: str
    message: str
    enforcement: str
    severity: str

    @property
    def mandatory(self) -> bool:
        """Whether a deployment must stop."""
        return self.enforcement == MANDATORY


def check(graph: Graph, pack: Path) -> list[Violation]:
    """Start the policy pack in the folder `pack`, ask it about the graph, and end it."""
    with Analyzer(pack, project=graph.project, stack=graph.stack) as analyzer:
        return violations(graph, analyzer)


def violations(graph: Graph, analyzer: Analyzer) -> list[Violation]:
    """Ask a started pack about every resource and about the stack.

    Secrets are sent as a placeholder of the same shape: a policy can see that there is one, not what it is.

    Raises:
        PlatformError: The pack did not start, or a policy raised an exception.
    """
    stub = analyzer.connect()
    providers = {resource.urn: resource for resource in graph.resources if _is_provider(resource)}
    found: set[Violation] = set()
    try:
        calls = [
            (resource.urn, stub.Analyze.future(_resource_request(resource, providers), timeout=CALL_TIMEOUT))
            for resource in graph.resources
        ]
        for urn, call in calls:
            found.update(_violation(diagnostic, urn) for diagnostic in call.result().diagnostics)
        whole = analyzer_pb2.AnalyzeStackRequest(
            resources=[_stack_resource(resource, providers) for resource in graph.resources]
        )
        answer = stub.AnalyzeStack(whole, timeout=CALL_TIMEOUT)
    except grpc.RpcError as error:
        raise analyzer.failure(error) from None
    found.update(_violation(diagnostic, "") for diagnostic in answer.diagnostics)
    return sorted(found, key=lambda item: (not item.mandatory, item.urn, item.policy, item.message))


def _is_provider(resource: Resource) -> bool:
    return resource.type.startswith("pulumi:providers:")


def _resource_request(resource: Resource, providers: Mapping[str, Resource]) -> analyzer_pb2.AnalyzeRequest:
    return analyzer_pb2.AnalyzeRequest(
        type=resource.type,
        urn=resource.urn,
        name=resource.name,
        properties=_struct(resource.inputs),
        options=_options(resource),
        provider=_provider(resource, providers),
    )


def _stack_resource(resource: Resource, providers: Mapping[str, Resource]) -> analyzer_pb2.AnalyzerResource:
    return analyzer_pb2.AnalyzerResource(
        type=resource.type,
        urn=resource.urn,
        name=resource.name,
        properties=_struct(resource.outputs),
        options=_options(resource),
        provider=_provider(resource, providers),
        parent=resource.parent,
        dependencies=resource.dependencies,
        propertyDependencies={
            key: analyzer_pb2.AnalyzerPropertyDependencies(urns=urns)
            for key, urns in resource.property_dependencies.items()
        },
    )


def _options(resource: Resource) -> analyzer_pb2.AnalyzerResourceOptions:
    return analyzer_pb2.AnalyzerResourceOptions(
        protect=bool(resource.options.get("protect")),
        ignoreChanges=cast("Iterable[str]", resource.options.get("ignoreChanges", ())),
        parent=resource.parent,
    )


def _provider(
    resource: Resource, providers: Mapping[str, Resource]
) -> analyzer_pb2.AnalyzerProviderResource | None:
    provider = providers.get(resource.provider.rpartition("::")[0])
    if provider is None:
        return None
    return analyzer_pb2.AnalyzerProviderResource(
        type=provider.type, properties=_struct(provider.inputs), urn=provider.urn, name=provider.name
    )


def _struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(wire.to_wire(_without_secrets(values)), struct_pb2.Struct())


def _without_secrets(value: Data, *, hide: bool = False) -> Data:
    if isinstance(value, Secret):
        return Secret(_without_secrets(value.value, hide=True))
    if isinstance(value, Mapping):
        return {key: _without_secrets(item, hide=hide) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item, hide=hide) for item in value]
    return HIDDEN if hide and isinstance(value, str | int | float) else value


def _violation(diagnostic: analyzer_pb2.AnalyzeDiagnostic, urn: str) -> Violation:
    level = analyzer_pb2.EnforcementLevel.Name(diagnostic.enforcementLevel)
    severity = analyzer_pb2.PolicySeverity.Name(diagnostic.severity).removeprefix("POLICY_SEVERITY_")
    message = diagnostic.message.removeprefix(f"{diagnostic.description}\n")
    return Violation(
        policy=diagnostic.policyName,
        urn=diagnostic.urn or urn,
        message=message,
        enforcement=level.lower(),
        severity="" if severity == "UNSPECIFIED" else severity.lower(),
    )
