"""Check a graph against a policy pack: every resource, then the stack as a whole."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import grpc
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from infra.engine import wire
from infra.engine.analyzer import START_TIMEOUT, Analyzer
from infra.engine.graph import Data, Graph, Resource, Secret
from infra.engine.violation import Violation
from infra.errors import PlatformError

HIDDEN: Final = "[secret]"
CALL_TIMEOUT: Final = 120.0
CHANNEL: Final = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", 400 * 1024 * 1024)]


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
    providers = {resource.urn: resource for resource in graph.resources if _is_provider(resource)}
    found: set[Violation] = set()
    with _connected(analyzer) as stub:
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
    found.update(_violation(diagnostic, "") for diagnostic in answer.diagnostics)
    return sorted(found, key=lambda item: (not item.mandatory, item.urn, item.policy, item.message))


@contextmanager
def _connected(analyzer: Analyzer) -> Generator[analyzer_pb2_grpc.AnalyzerStub]:
    """A pack that knows the stack; a call that fails names the pack and the policy's own exception."""
    with grpc.insecure_channel(f"127.0.0.1:{analyzer.port()}", options=CHANNEL) as channel:
        stub = analyzer_pb2_grpc.AnalyzerStub(channel)
        about = analyzer_pb2.AnalyzerStackConfigureRequest(
            stack=analyzer.stack, project=analyzer.project, organization="organization", dry_run=True
        )
        try:
            stub.ConfigureStack(about, timeout=START_TIMEOUT, wait_for_ready=True)
            stub.Configure(analyzer_pb2.ConfigureAnalyzerRequest(), timeout=START_TIMEOUT)
            yield stub
        except grpc.RpcError as error:
            details = error.details() if isinstance(error, grpc.Call) else str(error)
            said = ": ".join(filter(None, (details, analyzer.last_line())))
            raise PlatformError(f"policy pack {analyzer.name}: {said}") from None


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
