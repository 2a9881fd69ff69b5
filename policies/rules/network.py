# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""NetworkPolicies that deny by default, and Services that lead somewhere."""

from __future__ import annotations

import ipaddress
from typing import Final

from policies.addresses import is_everybody, within
from policies.family import Family
from policies.matching import every, matches_labels, matches_selector, takes_all
from policies.mesh_membership import matches_proxies
from policies.node import UNKNOWN, Node
from policies.objects import POD_KINDS, KubernetesObject, Pod, Stack, same_name
from policies.operators import matches_managed
from policies.rule import Enforcement, Findings, Options, Severity, fail, forbid, require_any

FAMILY: Final = Family("network", "Network policies and Services", together="network")

POLICY: Final = "NetworkPolicy.networking.k8s.io"
_DIRECTIONS: Final = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}
"""Policy type → field with its rules, field of a rule with its peers."""

_NAME_LABEL: Final = "app.kubernetes.io/name"
_METADATA_ADDRESSES: Final = (
    ipaddress.ip_address("169.254.169.254"),
    ipaddress.ip_address("fd00:ec2::254"),
)


def applies(policy: KubernetesObject, direction: str) -> bool | None:
    """Whether a policy restricts a direction: without policyTypes ingress always, egress if it has rules."""
    items = policy.node.at("spec.policyTypes").items()
    if not items:
        rules = policy.node.at("spec.egress")
        return direction == "Ingress" or (None if rules.unknown else bool(rules.items()))
    if any(item.value == direction for item in items):
        return True
    return None if any(item.unknown for item in items) else False


def selects(policy: KubernetesObject, pod: Pod) -> bool | None:
    return every(
        [
            same_name(policy.namespace, pod.owner.namespace),
            matches_selector(policy.node.at("spec.podSelector"), pod.metadata.at("labels")),
        ]
    )


def _denies_all(policy: KubernetesObject, direction: str) -> bool | None:
    """Whether a policy takes every pod of its namespace and allows nothing in a direction."""
    rules, selector = (
        policy.node.at("spec").key(_DIRECTIONS[direction][0]),
        policy.node.at("spec.podSelector"),
    )
    if rules.unknown or selector.unknown:
        return None
    return every([takes_all(selector), not rules.items(), applies(policy, direction)])


@FAMILY.stack(
    "network-default-deny",
    "Every namespace with pods denies all traffic unless a policy allows it",
    Severity.HIGH,
    POLICY,
    fix="Add a NetworkPolicy with podSelector: {}, policyTypes: [Ingress, Egress] and no rules.",
    references=("CIS 5.3.2", "Kubescape C-0049", "Kubescape C-0054"),
)
def network_default_deny(stack: Stack, _options: Options) -> Findings:
    seen: set[object] = set()
    for pod in stack.pods:
        namespace = pod.owner.namespace
        if namespace in seen:
            continue
        seen.add(namespace)
        for direction in _DIRECTIONS:
            answers = [
                every([same_name(policy.namespace, namespace), _denies_all(policy, direction)])
                for policy in stack.of_kind(POLICY)
            ]
            message = f"{namespace} has no policy that denies all {direction.lower()}"
            yield from require_any(answers, pod.owner.node.at("metadata.namespace"), message, pod.owner)


@FAMILY.stack(
    "network-pod-covered",
    "Every pod is selected by a policy for ingress and one for egress",
    Severity.HIGH,
    *sorted(POD_KINDS),
    POLICY,
    fix="Add a NetworkPolicy whose podSelector takes the pod; an unselected pod may talk to anybody.",
    references=("Kubescape C-0030", "kube-score: pod-networkpolicy"),
)
def network_pod_covered(stack: Stack, _options: Options) -> Findings:
    for pod in stack.pods:
        for direction in _DIRECTIONS:
            answers = [
                every([selects(policy, pod), applies(policy, direction)]) for policy in stack.of_kind(POLICY)
            ]
            message = f"no policy restricts the pod's {direction.lower()}"
            yield from require_any(answers, pod.metadata.at("labels"), message, pod.owner)


@FAMILY.stack(
    "network-policy-selects-pods",
    "Every policy selects a pod",
    Severity.LOW,
    POLICY,
    fix="Correct the podSelector, or remove the policy: it protects nothing.",
    references=("kube-linter: dangling-networkpolicy",),
    dev=Enforcement.ADVISORY,
    prod=Enforcement.ADVISORY,
)
def network_policy_selects_pods(stack: Stack, _options: Options) -> Findings:
    for policy in stack.of_kind(POLICY):
        selector = policy.node.at("spec.podSelector")
        answers = [selects(policy, pod) for pod in stack.pods]
        answers += matches_managed(selector, policy.namespace, stack)
        answers += matches_proxies(selector, policy.namespace, stack)
        yield from require_any(answers, selector, "selects no pod of the stack", policy)


@FAMILY.object(
    "network-no-allow-all",
    "No policy lets everybody in, or out to anywhere",
    Severity.HIGH,
    POLICY,
    fix="Name the peers by podSelector and namespaceSelector or a narrow ipBlock; only an exposed service "
    "may be open to everybody, on named ports.",
    references=("Kubescape C-0260", "CIS 5.3.2"),
    settings=("exposed_services",),
)
def network_no_allow_all(subject: KubernetesObject, options: Options) -> Findings:
    for direction, (field, peers_field) in _DIRECTIONS.items():
        for rule in subject.node.at("spec").key(field).items():
            peers = rule.key(peers_field)
            exposed = _is_exposed(subject, options) and _names_ports(rule)
            if peers.unknown:
                yield fail(peers, "must name its peers")
            elif not peers.items() and not (exposed and direction == "Ingress"):
                yield fail(
                    rule, f"allows all {direction.lower()}"
                )  # outwards that takes the metadata address in
            for peer in peers.items():
                everybody = None if peer.unknown else _is_everybody(peer)
                if not exposed and everybody is not False:
                    yield fail(
                        Node(UNKNOWN, peer.path) if everybody is None else peer, "stands for everybody"
                    )


def _names_ports(rule: Node) -> bool:
    """The rule is about ports that are named one by one."""
    ports = rule.key("ports").items()
    return bool(ports) and all(not port.key("port").absent and port.key("endPort").absent for port in ports)


def _is_exposed(policy: KubernetesObject, options: Options) -> bool:
    """The policy is about a service that the outside may reach."""
    name = policy.node.at("spec.podSelector.matchLabels").key(_NAME_LABEL)
    return name.value in options.exposed_services


def _is_everybody(peer: Node) -> bool | None:
    """Every pod of every namespace, or every address."""
    namespaces, pods, block = peer.key("namespaceSelector"), peer.key("podSelector"), peer.at("ipBlock.cidr")
    if not block.absent:
        return None if block.unknown else is_everybody(block.value)
    return every([not namespaces.absent, takes_all(namespaces), takes_all(pods)])


@FAMILY.object(
    "network-no-metadata",
    "No policy lets pods reach the cloud's metadata address",
    Severity.CRITICAL,
    POLICY,
    fix="Add 169.254.169.254/32 (and fd00:ec2::254/128) to ipBlock.except: it hands out credentials.",
    references=("Kubescape C-0052",),
)
def network_no_metadata(subject: KubernetesObject, _options: Options) -> Findings:
    for rule in subject.node.at("spec.egress").items():
        for peer in rule.at("to").items():
            block = peer.at("ipBlock")
            excluded = [item.value for item in block.at("except").items()]
            yield from forbid(
                block.at("cidr"),
                lambda cidr, excluded=excluded: any(
                    within(address, cidr) is not False and not any(within(address, item) for item in excluded)
                    for address in _METADATA_ADDRESSES
                ),
                "reaches the metadata address",
            )


def _served(service: KubernetesObject, stack: Stack) -> list[tuple[Pod, bool | None]]:
    """The pods that a Service selects (True) or may select (None)."""
    answers = [
        (
            pod,
            every(
                [
                    same_name(service.namespace, pod.owner.namespace),
                    matches_labels(service.node.at("spec.selector"), pod.metadata.at("labels")),
                ]
            ),
        )
        for pod in stack.pods
    ]
    return [(pod, answer) for pod, answer in answers if answer is not False]


def _selecting_services(stack: Stack) -> list[KubernetesObject]:
    """Services that find their pods by selector."""
    return [
        service
        for service in stack.of_kind("Service")
        if service.node.at("spec.selector").value and service.node.at("spec.type").value != "ExternalName"
    ]


@FAMILY.stack(
    "service-selects-pods",
    "Every Service selects pods of the stack",
    Severity.HIGH,
    "Service",
    fix="Make spec.selector match the labels of the pod template.",
    references=("kube-score: service-targets-pod", "kube-linter: dangling-service"),
)
def service_selects_pods(stack: Stack, _options: Options) -> Findings:
    for service in _selecting_services(stack):
        answers = [answer for _, answer in _served(service, stack)]
        yield from require_any(
            answers, service.node.at("spec.selector"), "selects no pod of the stack", service
        )


@FAMILY.stack(
    "service-port-matches",
    "Every port of a Service leads to a port of its pods",
    Severity.HIGH,
    "Service",
    fix="Set targetPort to the name or number of a container's port.",
)
def service_port_matches(stack: Stack, _options: Options) -> Findings:
    for service in _selecting_services(stack):
        served = _served(service, stack)
        ports = [
            port
            for pod, _ in served
            for container in pod.lasting_containers()
            for port in container.at("ports").items()
        ]
        for wanted in service.node.at("spec.ports").items():
            target = wanted.at("targetPort")
            target = wanted.at("port") if target.absent else target
            offered = [port.at(field) for port in ports for field in ("name", "containerPort")]
            if served and target.value not in [port.value for port in offered]:
                uncertain = any(port.unknown for port in offered) or any(
                    answer is None for _, answer in served
                )
                place = Node(UNKNOWN, target.path) if uncertain else target
                yield fail(place, f"{target.value} is no port of the selected pods", service)


@FAMILY.object(
    "service-exposure",
    "Only the front door is reachable from outside the cluster",
    Severity.HIGH,
    "Service",
    fix="Use type ClusterIP, or add the service's name to the rule's setting.",
    references=("KSV108", "Kubescape C-0256"),
    settings=("exposed_services",),
)
def service_exposure(subject: KubernetesObject, options: Options) -> Findings:
    if subject.labels.key(_NAME_LABEL).value not in options.exposed_services:
        yield from forbid(
            subject.node.at("spec.type"),
            lambda value: value in ("NodePort", "LoadBalancer"),
            "opens the service to the outside",
        )


@FAMILY.object(
    "service-no-external-ips",
    "No Service claims addresses of the network",
    Severity.HIGH,
    "Service",
    fix="Remove externalIPs: with them a Service can take over another host's traffic.",
    references=("CVE-2020-8554", "KSV108"),
)
def service_no_external_ips(subject: KubernetesObject, _options: Options) -> Findings:
    yield from forbid(subject.node.at("spec.externalIPs"), bool, "takes over traffic to these addresses")
