from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pulumi_kubernetes.networking.v1 import NetworkPolicySpecArgs

from infra.components import network
from infra.components.network import NetworkArgs
from infra.components.platform_flows import PlatformFlowsArgs, platform_flows
from infra.labels import labels
from infra.naming import Stack
from infra.settings import Settings
from tests.infra.gateway_settings import POSTGRES, REDIS

Plain = Callable[[object], Any]
STACK = Stack("dev", production=False)


@pytest.fixture
def args(configure: Callable[..., Settings]) -> PlatformFlowsArgs:
    settings = configure(network={"api_server_cidrs": ["10.250.0.0/16"], "dns_cidrs": ["10.250.0.0/16"]})
    return PlatformFlowsArgs(
        settings=settings.network,
        issuer_cidrs=["198.51.100.0/24"],
        server_egress={"weather": ["203.0.113.0/24"], "files": []},
        redis=REDIS,
        postgres=POSTGRES,
    )


def build_policies(args: PlatformFlowsArgs) -> dict[str, NetworkPolicySpecArgs]:
    return network.build_policies(NetworkArgs(stack=STACK, flows=platform_flows(args)))


def picks(selector: dict[str, Any], own: dict[str, str]) -> bool:
    """Kubernetes' label selectors, as far as they are used here."""
    matched = all(own.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    wanted = selector.get("matchExpressions", [])
    return matched and all(
        own.get(item["key"]) in item["values"] for item in wanted if item["operator"] == "In"
    )


def is_pod(peer: dict[str, Any], own: dict[str, str]) -> bool:
    """Whether a rule's peer is a pod of the same namespace with these labels."""
    return "podSelector" in peer and "namespaceSelector" not in peer and picks(peer["podSelector"], own)


def flows(plain: Plain, args: PlatformFlowsArgs) -> set[str]:
    """Who may open a connection to whom: both the sender's egress and the receiver's ingress allow it."""
    parts = {
        "gateway": labels(STACK, "gateway", "gateway"),
        "files": labels(STACK, "files", "server"),
        "weather": labels(STACK, "weather", "server"),
        "redis": labels(STACK, "redis", "cache"),
        "postgres": labels(STACK, "postgres", "database"),
        "stranger": {"app.kubernetes.io/name": "stranger"},
    }
    policies = [plain(spec) for spec in build_policies(args).values()]

    def allowed(own: dict[str, str], peer: dict[str, str], rules: str, peers: str) -> set[Any]:
        return {
            port["port"]
            for policy in policies
            if picks(policy["podSelector"], own)
            for rule in policy.get(rules, [])
            if any(is_pod(item, peer) for item in rule[peers])
            for port in rule["ports"]
        }

    found: set[str] = set()
    for sender, sends in parts.items():
        for receiver, receives in parts.items():
            out = allowed(sends, receives, "egress", "to")
            found |= {
                f"{sender}→{receiver}:{port}" for port in out & allowed(receives, sends, "ingress", "from")
            }
    return found


def test_inside_the_namespace_only_the_declared_flows_are_open(plain: Plain, args: PlatformFlowsArgs) -> None:
    assert flows(plain, args) == {
        "gateway→files:8080",
        "gateway→weather:8080",
        "gateway→redis:6379",
        "gateway→postgres:5432",
    }


def test_everything_is_denied_first(plain: Plain, args: PlatformFlowsArgs) -> None:
    denied = plain(build_policies(args)["default-deny"])
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_only_the_gateway_reaches_networks_by_itself(plain: Plain, args: PlatformFlowsArgs) -> None:
    blocks = {
        name: {
            (peer["ipBlock"]["cidr"], port["port"])
            for rule in plain(spec).get("egress", [])
            for peer in rule["to"]
            if "ipBlock" in peer
            for port in rule["ports"]
        }
        for name, spec in build_policies(args).items()
    }
    assert {name: found for name, found in blocks.items() if found} == {
        "all-services": {("10.250.0.0/16", 53)},
        "gateway": {("10.250.0.0/16", 6443), ("198.51.100.0/24", 443)},
        "weather": {("203.0.113.0/24", 443)},
    }


def test_without_published_keys_the_gateway_is_let_out_to_no_issuer(
    plain: Plain, args: PlatformFlowsArgs
) -> None:
    (rules,) = (
        plain(spec)["egress"]
        for name, spec in build_policies(replace(args, issuer_cidrs=())).items()
        if name == "gateway"
    )
    assert all(rule["to"] for rule in rules)
    assert [port["port"] for rule in rules for port in rule["ports"]] == [8080, 6443, 6379, 5432]


@pytest.mark.parametrize(
    ("tracing", "peer", "port"),
    [
        (
            {"endpoint": "http://collector.monitoring:4318"},
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},
            4318,
        ),
        (
            {"endpoint": "https://otlp.example.com", "cidrs": ["203.0.113.0/24"]},
            {"ipBlock": {"cidr": "203.0.113.0/24"}},
            443,
        ),
    ],
)
def test_traces_are_let_out_to_the_collector_only(
    plain: Plain,
    args: PlatformFlowsArgs,
    configure: Callable[..., Settings],
    tracing: dict[str, Any],
    peer: dict[str, Any],
    port: int,
) -> None:
    before = plain(build_policies(args)["all-services"])["egress"]
    spec = plain(build_policies(replace(args, tracing=configure(tracing=tracing).tracing))["all-services"])
    assert spec["policyTypes"] == ["Egress"]
    assert spec["egress"] == [*before, {"to": [peer], "ports": [{"protocol": "TCP", "port": port}]}]
    senders = [labels(STACK, "a", "gateway"), labels(STACK, "a", "server")]
    others = [labels(STACK, "a", "database"), labels(STACK, "a", "cache")]
    assert [picks(spec["podSelector"], own) for own in senders + others] == [True, True, False, False]


def test_data_stores_ask_nobody_not_even_dns(plain: Plain, args: PlatformFlowsArgs) -> None:
    for own in (labels(STACK, "redis", "cache"), labels(STACK, "postgres", "database")):
        for spec in map(plain, build_policies(args).values()):
            assert not (spec.get("egress") and picks(spec["podSelector"], own))


def test_metrics_are_for_the_monitoring_namespace(plain: Plain, args: PlatformFlowsArgs) -> None:
    (rule,) = plain(build_policies(args)["every-pod"])["ingress"]
    assert rule["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]
    assert [port["port"] for port in rule["ports"]] == ["ops"]


@pytest.mark.parametrize(
    ("cidr", "excluded"),
    [
        ("0.0.0.0/0", ["169.254.169.254/32", "169.254.170.23/32"]),
        ("169.254.0.0/16", ["169.254.169.254/32", "169.254.170.23/32"]),
        ("169.254.169.0/24", ["169.254.169.254/32"]),
        ("::/0", ["fd00:ec2::254/128", "fd00:ec2::23/128"]),
        ("10.0.0.0/8", None),
        ("169.254.170.23/32", None),
    ],
)
def test_no_wide_rule_opens_where_a_cloud_hands_out_credentials(
    plain: Plain, cidr: str, excluded: list[str] | None
) -> None:
    assert plain(network.block(cidr))["ipBlock"].get("except") == excluded


def test_an_external_store_is_reached_by_its_networks(plain: Plain, args: PlatformFlowsArgs) -> None:
    outside = replace(REDIS, host="cache.example.com", port=6380, cidrs=("10.9.0.0/24",))
    policies = build_policies(replace(args, redis=outside))
    assert "redis" not in policies
    rules = plain(policies["gateway"])["egress"]
    assert {
        "to": [{"ipBlock": {"cidr": "10.9.0.0/24"}}],
        "ports": [{"protocol": "TCP", "port": 6380}],
    } in rules
