# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""The gateway, MCP servers and agents: who may call what, how much of it, and what tools can reach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.configuration import read
from policies.family import Family
from policies.matching import every, matches_selector
from policies.mesh_membership import is_probe, is_tunnel
from policies.node import UNKNOWN, Node
from policies.objects import KubernetesObject, Pod, Stack, same_name
from policies.rule import (
    Enforcement,
    Findings,
    Options,
    Severity,
    about,
    fail,
    forbid,
    require,
    require_any,
)

FAMILY: Final = Family("mcp", "The gateway, MCP servers and agents", together="platform")

COMPONENT: Final = "app.kubernetes.io/component"
_NAME: Final = "app.kubernetes.io/name"
_SERVER_LABEL: Final = "mcp-platform.dev/server"
_RUNS_TOOLS: Final = ("agent", "server")
_CONFIG, _ACCESS = "config.yaml", "policy.yaml"
_EVERYTHING: Final = "*"
_NETWORK_POLICY: Final = "NetworkPolicy.networking.k8s.io"
_BINDINGS: Final = (
    "RoleBinding.rbac.authorization.k8s.io",
    "ClusterRoleBinding.rbac.authorization.k8s.io",
)
_OTHER_TRANSPORTS: Final = frozenset({"sse", "stdio"})
_LONGEST_CALL: Final = 300


def _gateway_file(subject: KubernetesObject, name: str) -> Iterator[Node]:
    """A file of the gateway's configuration, in the ConfigMaps that are its."""
    component = subject.labels.key(COMPONENT)
    file = subject.node.key("data").key(name)
    if component.value in ("gateway", UNKNOWN) and not file.absent:
        yield Node(UNKNOWN, file.path) if component.unknown else read(file)


@FAMILY.object(
    "mcp-auth-required",
    "The gateway lets nobody in without a token that is meant for it",
    Severity.CRITICAL,
    "ConfigMap",
    fix="Set auth.audience and auth.issuers in the stack's settings.",
    references=("MCP: authorization",),
)
def mcp_auth_required(subject: KubernetesObject, _options: Options) -> Findings:
    for config in _gateway_file(subject, _CONFIG):
        for name in ("audience", "issuers"):
            yield from require(config.key("auth").key(name), bool, "must be set")


@FAMILY.object(
    "mcp-hosts-named",
    "The gateway answers to hosts and origins that are named",
    Severity.HIGH,
    "ConfigMap",
    fix="List gateway.allowed_hosts and allowed_origins without *: they keep other sites' scripts out.",
    references=("MCP: transports, DNS rebinding",),
)
def mcp_hosts_named(subject: KubernetesObject, options: Options) -> Findings:
    for config in _gateway_file(subject, _CONFIG):
        hosts = config.at("requests.allowed_hosts")
        if hosts.absent and options.environment != "dev":
            yield fail(hosts, "must be set: the gateway answers to any host otherwise")
        for name in ("allowed_hosts", "allowed_origins"):
            for item in config.at("requests").key(name).items():
                yield from forbid(item, lambda value: _EVERYTHING in str(value), "must name a host")


@FAMILY.object(
    "mcp-budgets-set",
    "No caller can use up the gateway",
    Severity.HIGH,
    "ConfigMap",
    fix="Set gateway.limits.principal: per_second and burst.",
    references=("OWASP API4:2023",),
    dev=Enforcement.DISABLED,
)
def mcp_budgets_set(subject: KubernetesObject, _options: Options) -> Findings:
    for config in _gateway_file(subject, _CONFIG):
        for name in ("per_second", "burst"):
            yield from require(config.at("limits.principal").key(name), bool, "must be set")


@FAMILY.object(
    "mcp-calls-bounded",
    "Calls end, and their results have a largest size",
    Severity.MEDIUM,
    "ConfigMap",
    fix=f"Set the gateway's upstream timeout to {_LONGEST_CALL} s or less, and content.max_result_bytes.",
)
def mcp_calls_bounded(subject: KubernetesObject, _options: Options) -> Findings:
    for config in _gateway_file(subject, _CONFIG):
        yield from require(
            config.at("upstream.timeout_seconds"),
            lambda value: isinstance(value, int | float) and 0 < value <= _LONGEST_CALL,
            f"must be {_LONGEST_CALL} or less",
        )
        yield from require(config.at("content.max_result_bytes"), bool, "must be set")


@FAMILY.object(
    "mcp-audited",
    "Calls are written down",
    Severity.HIGH,
    "ConfigMap",
    fix="Set gateway.audit.",
    references=("OWASP: logging and monitoring failures",),
)
def mcp_audited(subject: KubernetesObject, _options: Options) -> Findings:
    for config in _gateway_file(subject, _CONFIG):
        yield from require(
            config.at("audit.sink"), lambda value: value in ("log", "postgres"), "must be postgres or log"
        )


@FAMILY.object(
    "mcp-tools-named",
    "Not everybody may use every tool of every server",
    Severity.HIGH,
    "ConfigMap",
    fix="Name groups, servers or tools in the rules of the policy file that allow.",
    references=("OWASP LLM06:2025",),
    dev=Enforcement.DISABLED,
)
def mcp_tools_named(subject: KubernetesObject, _options: Options) -> Findings:
    for policy in _gateway_file(subject, _ACCESS):
        for rule in policy.key("rules").items():
            wide = every(_has_everything(rule.key(name)) for name in ("groups", "servers", "tools"))
            if rule.unknown or (wide and rule.key("effect").value == "allow"):
                yield fail(rule, "allows everybody every tool")


def _has_everything(names: Node) -> bool:
    return any(name.value == _EVERYTHING for name in names.items())


def runs_tools(pod: Pod) -> bool:
    """The pod does what a model says; an unknown label may say so."""
    return pod.metadata.at("labels").key(COMPONENT).value in (*_RUNS_TOOLS, UNKNOWN)


@FAMILY.pod(
    "mcp-no-cluster-token",
    "What runs tools has no token of the cluster",
    Severity.CRITICAL,
    fix="Set automountServiceAccountToken: false, and project no token without an audience of its own.",
    references=("OWASP LLM06:2025", "CIS 5.1.6"),
)
def mcp_no_cluster_token(pod: Pod, _options: Options) -> Findings:
    if not runs_tools(pod):
        return
    mounted = pod.spec.at("automountServiceAccountToken")
    yield from require(mounted, lambda value: value is False, "must be false")
    for volume in pod.spec.at("volumes").items():
        for source in volume.at("projected.sources").items():
            token = source.key("serviceAccountToken")
            if token.unknown or not (token.absent or token.key("audience").value):
                yield fail(token, "must have an audience of its own")


@FAMILY.stack(
    "mcp-no-cluster-rights",
    "What runs tools has no rights in the cluster",
    Severity.CRITICAL,
    *_BINDINGS,
    fix="Remove the binding: whoever steers a tool has its account's rights, to Secrets for instance.",
    references=("OWASP LLM06:2025",),
)
def mcp_no_cluster_rights(stack: Stack, _options: Options) -> Findings:
    accounts = [
        (pod.owner.namespace, pod.spec.at("serviceAccountName")) for pod in stack.pods if runs_tools(pod)
    ]
    for binding in stack.of_kind(*_BINDINGS):
        for bound in binding.node.at("subjects").items():
            space, name = bound.key("namespace"), bound.key("name")
            answers = [
                every(
                    [
                        same_name(UNKNOWN if space.unknown else str(space.value), namespace),
                        None if name.unknown or account.unknown else name.value == account.value,
                    ]
                )
                for namespace, account in accounts
            ]
            if True in answers:
                yield fail(bound, "gives rights to what runs tools", binding)
            elif None in answers:
                yield fail(Node(UNKNOWN, bound.path), "must not be an account of what runs tools", binding)


@FAMILY.stack(
    "mcp-through-gateway",
    "MCP servers are reached by way of the gateway only",
    Severity.CRITICAL,
    _NETWORK_POLICY,
    fix="Let only the gateway's pods in; monitoring may reach the ports of metrics.",
    references=("MCP: security best practices",),
    settings=("exposed_services", "metrics_ports"),
)
def mcp_through_gateway(stack: Stack, options: Options) -> Findings:
    servers = [
        pod for pod in stack.pods if pod.metadata.at("labels").key(COMPONENT).value in ("server", UNKNOWN)
    ]
    for policy in stack.of_kind(_NETWORK_POLICY):
        if not any(_takes(policy, pod) is not False for pod in servers):
            continue
        for rule in policy.node.at("spec.ingress").items():
            ports = rule.key("ports").items()
            if ports and all(port.key("port").value in options.metrics_ports for port in ports):
                continue
            if is_tunnel(rule, policy.namespace, stack):
                continue
            yield from about(policy, _only_from_gateway(rule, options))


def _takes(policy: KubernetesObject, pod: Pod) -> bool | None:
    labels = pod.metadata.at("labels")
    return every(
        [
            same_name(policy.namespace, pod.owner.namespace),
            matches_selector(policy.node.at("spec.podSelector"), labels),
        ]
    )


def _only_from_gateway(rule: Node, options: Options) -> Findings:
    peers = rule.key("from")
    yield from require(peers, bool, "must name the gateway")
    for peer in peers.items() if not peers.unknown else ():
        if is_probe(peer):
            continue
        name = peer.at("podSelector.matchLabels").key(_NAME)
        yield from require(name, lambda value: value in options.exposed_services, "must be the gateway")


@FAMILY.stack(
    "mcp-server-port",
    "Servers that the gateway is to find have a port for MCP",
    Severity.MEDIUM,
    "Service",
    fix="Name the Service's port mcp: the gateway looks for it.",
)
def mcp_server_port(stack: Stack, _options: Options) -> Findings:
    for service in stack.of_kind("Service"):
        label = service.labels.key(_SERVER_LABEL)
        if label.absent:
            continue
        ports = service.node.at("spec.ports")
        names = [port.key("name") for port in ports.items()]
        answers = [None if name.unknown else name.value == "mcp" for name in names]
        yield from require_any(answers, ports, "has no port that is called mcp", service)


@FAMILY.pod(
    "mcp-over-http",
    "Servers speak MCP over streamable HTTP",
    Severity.MEDIUM,
    fix="Let the server listen by HTTP; stdio reaches nobody in a cluster, and SSE is deprecated.",
    references=("MCP: transports",),
)
def mcp_over_http(pod: Pod, _options: Options) -> Findings:
    component = pod.metadata.at("labels").key(COMPONENT)
    if component.unknown:
        yield fail(component, "decides whether the pod must speak HTTP")
    if component.value != "server":
        return
    for container in pod.lasting_containers():
        for field in ("command", "args"):
            for word in container.key(field).items():
                yield from forbid(
                    word,
                    lambda value: str(value).rpartition("=")[2].lower() in _OTHER_TRANSPORTS,
                    "is a transport that the gateway doesn't speak",
                )
