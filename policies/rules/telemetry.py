# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""OpenTelemetry: collectors with bounded memory and whole pipelines, which services find."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from policies.configuration import read
from policies.family import Family
from policies.matching import every
from policies.node import ANY_ITEM, UNKNOWN, Node
from policies.objects import KubernetesObject, Stack, same_name
from policies.rule import Findings, Options, Severity, fail, require, require_any

FAMILY: Final = Family("telemetry", "Traces and logs", together="platform")

_CONFIG_FILE: Final = re.compile(r"(collector|otel)[\w.-]*\.ya?ml\Z|relay\.yaml\Z")
_LIMITER: Final = re.compile(r"memory_limiter(/.+)?\Z")
_ENDPOINTS: Final = ("TRACING_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PORTS: Final = {"http": 80, "https": 443}


def _collectors(subject: KubernetesObject) -> Iterator[Node]:
    """The configuration files of collectors in a ConfigMap."""
    for name, file in subject.node.key("data").entries():
        if name == ANY_ITEM or _CONFIG_FILE.match(name):
            yield read(file)


def _pipelines(config: Node) -> list[Node]:
    return [pipeline for _, pipeline in config.at("service.pipelines").entries()]


@FAMILY.object(
    "collector-memory-limited",
    "A collector refuses data before it is killed for its memory",
    Severity.HIGH,
    "ConfigMap",
    fix="Make memory_limiter the first processor of every pipeline.",
    references=("OpenTelemetry: memory limiter processor",),
)
def collector_memory_limited(subject: KubernetesObject, _options: Options) -> Findings:
    for config in _collectors(subject):
        for pipeline in _pipelines(config):
            processors = pipeline.key("processors")
            first = next(iter(processors.items()), processors)
            yield from require(
                first, lambda value: bool(_LIMITER.match(str(value))), "must begin with memory_limiter"
            )


@FAMILY.object(
    "collector-parts-declared",
    "A collector's pipelines name parts that it has",
    Severity.HIGH,
    "ConfigMap",
    fix="Declare what the pipeline names below receivers, processors, exporters or connectors.",
)
def collector_parts_declared(subject: KubernetesObject, _options: Options) -> Findings:
    for config in _collectors(subject):
        for pipeline in _pipelines(config):
            for sort in ("receivers", "processors", "exporters"):
                declared = {name for part in (sort, "connectors") for name, _ in config.key(part).entries()}
                for part in pipeline.key(sort).items():
                    if part.unknown or not declared & {part.text(), ANY_ITEM}:
                        yield fail(part, f"is none of the {sort}")
                if sort != "processors":
                    yield from require(pipeline.key(sort), bool, "must name one")


@FAMILY.stack(
    "trace-endpoint-exists",
    "Traces are sent to a Service that is there",
    Severity.MEDIUM,
    "Service",
    fix="Name the collector's Service and its port, or a host outside of the cluster.",
)
def trace_endpoint_exists(stack: Stack, _options: Options) -> Findings:
    for pod in stack.pods:
        for container in pod.containers():
            for variable in container.at("env").items():
                if variable.key("name").value in (*_ENDPOINTS, UNKNOWN):
                    yield from _reaches(stack, pod.owner, variable.key("value"))


def _reaches(stack: Stack, owner: KubernetesObject, endpoint: Node) -> Findings:
    """Nothing where the endpoint is outside of the cluster, or a Service of the stack with that port."""
    if endpoint.unknown:
        yield fail(endpoint, "must name a Service of the stack", owner)
        return
    url = urlsplit(endpoint.text() or "")
    name, _, rest = (url.hostname or "").partition(".")
    namespace, _, domain = rest.partition(".")
    if not name or name == "localhost" or (rest and domain.partition(".")[0] != "svc"):
        return
    port = url.port or _PORTS.get(url.scheme, 0)
    answers = [
        every(
            [
                same_name(service.name, name),
                same_name(service.namespace, namespace or owner.namespace),
                _listens(service, port),
            ]
        )
        for service in stack.of_kind("Service")
    ]
    yield from require_any(answers, endpoint, f"no Service {name} has the port {port}", owner)


def _listens(service: KubernetesObject, port: int) -> bool | None:
    numbers = [item.key("port").value for item in service.node.at("spec.ports").items()]
    return True if port in numbers else None if UNKNOWN in numbers else False
