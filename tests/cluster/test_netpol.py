"""What NetworkPolicies mean, as rules; and as the kernel applies them, between hosts that the test makes."""

from __future__ import annotations

import os
import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from infra.cluster import preflight, silent
from infra.cluster.netpol.__main__ import NAMESPACES, PODS, POLICIES, Enforcer
from infra.cluster.netpol.model import Pod, directions_of, pod_of
from infra.cluster.netpol.nftables import ruleset
from infra.cluster.netpol.selectors import selects
from infra.cluster.netpol.verdicts import Permission, Policies, Ports, without
from infra.errors import PlatformError

SPACES = {"shop": {"team": "a"}, "other": {"team": "b"}}
WEB = Pod("shop", "web", {"app": "web"}, "10.9.0.2", {"http": ("TCP", 8080)})
DB = Pod("shop", "db", {"app": "db", "tier": "data"}, "10.9.0.3", {"sql": ("TCP", 5432)})
GUEST = Pod("other", "guest", {"app": "web"}, "10.9.0.4")
POD_NETWORK = "10.9.0.0/24"


def policy(selector: dict[str, Any], namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": "p"}, "spec": {"podSelector": selector, **spec}}


def allowed(pod: Pod, direction: Any, *policies: dict[str, Any]) -> set[Permission] | None:
    return Policies(policies, [WEB, DB, GUEST], SPACES).permissions(pod, direction)


def app(name: str) -> dict[str, Any]:
    return {"matchLabels": {"app": name}}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, True),
        ({"matchLabels": {"app": "db"}}, True),
        ({"matchLabels": {"app": "db", "tier": "web"}}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["data", "x"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["data"]}]}, False),
        ({"matchExpressions": [{"key": "absent", "operator": "NotIn", "values": ["data"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"app": "db"}, "matchExpressions": [{"key": "z", "operator": "Exists"}]}, False),
    ],
)
def test_selectors(selector: dict[str, Any], expected: bool) -> None:
    assert selects(selector, DB.labels) is expected


def test_an_unknown_operator_is_an_error_not_a_guess() -> None:
    with pytest.raises(PlatformError, match="Near"):
        selects({"matchExpressions": [{"key": "tier", "operator": "Near"}]}, {})


def test_a_pod_that_no_policy_selects_is_not_isolated() -> None:
    assert allowed(WEB, "Ingress", policy(app("db"))) is None
    assert allowed(GUEST, "Ingress", policy({})) is None, "a policy of another namespace"


def test_a_policy_without_rules_allows_nothing() -> None:
    assert allowed(WEB, "Ingress", policy({})) == set()


def test_egress_is_restricted_where_the_policy_says_so_or_has_rules_for_it() -> None:
    assert directions_of(policy({})) == ("Ingress",)
    assert directions_of(policy({}, egress=[{}])) == ("Ingress", "Egress")
    assert directions_of(policy({}, policyTypes=["Egress"])) == ("Egress",)


def test_an_empty_rule_allows_everything() -> None:
    assert allowed(WEB, "Ingress", policy({}, ingress=[{}])) == {Permission(None, None)}


def test_peers_by_pod_are_of_the_same_namespace() -> None:
    rule = {"from": [{"podSelector": app("web")}]}
    assert allowed(DB, "Ingress", policy({}, ingress=[rule])) == {
        Permission(frozenset({"10.9.0.2/32"}), None)
    }


def test_peers_by_namespace_are_all_of_its_pods_and_with_a_pod_selector_some() -> None:
    whole = {"from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}}]}
    some = {"from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": app("db")}]}
    both = frozenset({"10.9.0.2/32", "10.9.0.3/32"})
    assert allowed(GUEST, "Ingress", policy({}, "other", ingress=[whole])) == {Permission(both, None)}
    assert allowed(GUEST, "Ingress", policy({}, "other", ingress=[some])) == {
        Permission(frozenset({"10.9.0.3/32"}), None)
    }


def test_what_any_policy_allows_is_allowed() -> None:
    first = policy({}, ingress=[{"ports": [{"port": 80}]}])
    second = policy(app("web"), ingress=[{"ports": [{"port": "http"}]}])
    assert allowed(WEB, "Ingress", first, second) == {
        Permission(None, frozenset({Ports("TCP", 80, 80)})),
        Permission(None, frozenset({Ports("TCP", 8080, 8080)})),
    }


def test_a_named_port_of_egress_is_the_peers_own() -> None:
    rule = {"to": [{"podSelector": {}}], "ports": [{"port": "sql"}]}
    found = allowed(WEB, "Egress", policy(app("web"), policyTypes=["Egress"], egress=[rule]))
    assert found is not None
    assert Permission(frozenset({"10.9.0.3/32"}), frozenset({Ports("TCP", 5432, 5432)})) in found
    assert all(it.ports == frozenset() for it in found if it.networks != frozenset({"10.9.0.3/32"}))


def test_ranges_and_protocols() -> None:
    ports = [{"protocol": "UDP", "port": 53}, {"port": 1000, "endPort": 2000}, {"protocol": "SCTP"}]
    assert allowed(WEB, "Ingress", policy({}, ingress=[{"ports": ports}])) == {
        Permission(
            None,
            frozenset({Ports("UDP", 53, 53), Ports("TCP", 1000, 2000), Ports("SCTP", 1, 65535)}),
        )
    }


@pytest.mark.parametrize(
    ("cidr", "exceptions", "expected"),
    [
        ("10.0.0.0/30", [], ["10.0.0.0/30"]),
        ("10.0.0.0/30", ["10.0.0.0/31"], ["10.0.0.2/31"]),
        ("10.0.0.0/30", ["10.0.0.1/32", "10.0.0.2/32"], ["10.0.0.0/32", "10.0.0.3/32"]),
        ("10.0.0.0/30", ["10.0.0.0/30"], []),
        ("10.0.0.0/30", ["10.0.0.0/8"], []),
        ("10.0.0.0/30", ["11.0.0.0/8"], ["10.0.0.0/30"]),
    ],
)
def test_exceptions_are_cut_out_of_a_network(cidr: str, exceptions: list[str], expected: list[str]) -> None:
    assert without(cidr, exceptions) == expected


def raw_pod(**changes: Any) -> dict[str, Any]:
    port = {"name": "http", "containerPort": 8080}
    content = {
        "metadata": {"namespace": "shop", "name": "web", "labels": {"app": "web"}, "uid": "1"},
        "spec": {"containers": [{"name": "c", "ports": [port, {"containerPort": 1}]}]},
        "status": {"phase": "Running", "podIP": "10.9.0.2"},
    }
    for part, values in changes.items():
        content[part].update(values)
    return content


def test_pods_are_read_from_the_api() -> None:
    assert pod_of(raw_pod()) == WEB
    assert pod_of(raw_pod(spec={"hostNetwork": True})) is None
    assert pod_of(raw_pod(status={"phase": "Succeeded"})) is None


def test_nothing_is_applied_before_everything_is_known_and_nothing_twice() -> None:
    applied: list[str] = []
    enforcer = Enforcer(POD_NETWORK, applied.append)
    enforcer.seen(PODS, {"1": raw_pod()})
    enforcer.seen(POLICIES, {"2": policy({})})
    enforcer.step()
    assert applied == []
    enforcer.seen(NAMESPACES, {"3": {"metadata": {"name": "shop", "uid": "3"}}})
    enforcer.step()
    enforcer.step()
    assert len(applied) == 1
    assert "chain ingress_10_9_0_2" in applied[0]


class Hosts:
    """Pods' stand-ins: network namespaces behind one router, in which the rules are."""

    def __init__(self, pods: Sequence[Pod]) -> None:
        self._prefix = f"np{secrets.token_hex(3)}"
        self.router = f"{self._prefix}-r"
        self._ip("netns", "add", self.router)
        self.inside(self.router, "ip", "link", "set", "lo", "up")
        self.inside(self.router, "ip", "address", "add", "10.250.9.1/32", "dev", "lo")
        self.inside(self.router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self._names = [self.router]
        for number, pod in enumerate(pods):
            self._wire(number, pod)

    def _wire(self, number: int, pod: Pod) -> None:
        name, link = self.name(pod), f"v{number}"
        self._ip("netns", "add", name)
        self._names.append(name)
        self._ip(
            "-n", self.router, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name
        )
        self.inside(name, "ip", "link", "set", "lo", "up")
        self.inside(name, "ip", "address", "add", f"{pod.address}/32", "dev", "eth0")
        self.inside(name, "ip", "link", "set", "eth0", "up")
        self.inside(name, "ip", "route", "add", "10.250.9.1", "dev", "eth0", "scope", "link")
        self.inside(name, "ip", "route", "add", "default", "via", "10.250.9.1")
        self._ip("-n", self.router, "link", "set", link, "up")
        self._ip("-n", self.router, "route", "add", pod.address, "dev", link)

    def name(self, pod: Pod) -> str:
        return f"{self._prefix}-{pod.name}"

    def apply(self, rules: str) -> None:
        self.inside(self.router, "nft", "-f", "-", text=rules)

    @staticmethod
    def _ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)

    @staticmethod
    def inside(name: str, *command: str, text: str | None = None) -> None:
        done = subprocess.run(
            ["ip", "netns", "exec", name, *command], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}\n{text}"

    def remove(self) -> None:
        for name in self._names:
            subprocess.run(["ip", "netns", "delete", name], check=False)


LISTEN = """
import socket, sys
sockets = [socket.create_server(("0.0.0.0", int(port))) for port in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.read()
"""
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()
except OSError as error:
    sys.exit(f"{error}")
"""


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    preflight.ensure_programs(silent)
    made = Hosts([WEB, DB, GUEST])
    listeners = [
        subprocess.Popen(
            ["ip", "netns", "exec", name, "python3", "-c", LISTEN, *ports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name, ports in ((made.name(DB), ["5432", "9090"]), (made.router, ["6443"]))
    ]
    try:
        for listener in listeners:
            assert listener.stdout
            assert listener.stdout.readline() == b"ready\n"
        yield made
    finally:
        for listener in listeners:
            listener.communicate()
        made.remove()


def connects(source: str, address: str, port: int) -> bool:
    command = ["ip", "netns", "exec", source, "python3", "-c", CONNECT, address, str(port)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def reach(hosts: Hosts) -> Callable[..., set[str]]:
    """Which of the connections work, after the policies were applied."""

    def measure(*policies: dict[str, Any], known: Sequence[Pod] = (WEB, DB, GUEST)) -> set[str]:
        hosts.apply(ruleset(Policies(policies, known, SPACES), known, POD_NETWORK))
        wanted = {
            "web→db": (hosts.name(WEB), DB.address, 5432),
            "web→db metrics": (hosts.name(WEB), DB.address, 9090),
            "guest→db": (hosts.name(GUEST), DB.address, 5432),
            "web→node": (hosts.name(WEB), "10.250.9.1", 6443),
            "node→db": (hosts.router, DB.address, 5432),
        }
        found: set[str] = set()

        def one(what: str, source: str, address: str, port: int) -> None:
            if connects(source, address, port):
                found.add(what)

        threads = [threading.Thread(target=one, args=(what, *where)) for what, where in wanted.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    return measure


EVERYTHING = {"web→db", "web→db metrics", "guest→db", "web→node", "node→db"}
DENY = policy({}, policyTypes=["Ingress", "Egress"])


def test_the_kernel_lets_through_what_the_policies_allow_and_nothing_else(
    reach: Callable[..., set[str]],
) -> None:
    assert reach() == EVERYTHING
    assert reach(DENY) == {"node→db"}, "the node itself is never restricted"
    out = policy(
        app("web"),
        policyTypes=["Egress"],
        egress=[{"to": [{"podSelector": app("db")}], "ports": [{"port": "sql"}]}],
    )
    assert reach(DENY, out) == {"node→db"}, "both ends must allow it"
    into = policy(app("db"), ingress=[{"from": [{"podSelector": app("web")}], "ports": [{"port": 5432}]}])
    assert reach(DENY, out, into) == {"node→db", "web→db"}
    block = {"ipBlock": {"cidr": "10.250.0.0/16", "except": ["10.250.8.0/24"]}}
    api = policy(app("web"), policyTypes=["Egress"], egress=[{"to": [block], "ports": [{"port": 6443}]}])
    assert reach(DENY, api) == {"node→db", "web→node"}
    anybody = policy(app("db"), ingress=[{"from": [{"namespaceSelector": {}}]}])
    assert reach(anybody) == EVERYTHING
    assert reach(policy(app("db"), ingress=[{"from": [{"ipBlock": {"cidr": "10.9.0.4/32"}}]}])) == {
        "guest→db",
        "web→node",
        "node→db",
    }


def test_a_pod_that_is_not_known_yet_can_do_nothing(reach: Callable[..., set[str]]) -> None:
    assert reach(known=[DB, GUEST]) == {"guest→db", "node→db"}
