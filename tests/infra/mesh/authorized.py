"""Who may open a connection to whom, by the policies of Istio among some objects.

As ztunnel, waypoints and sidecars read them (https://istio.io/latest/docs/reference/config/security/authorization-policy).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from tests.infra.flows import Place

Object = Mapping[str, Any]

REQUEST_FIELDS = {"methods", "paths", "hosts"}


@dataclass(frozen=True)
class Caller:
    """As a receiving proxy sees whoever connects.

    Attributes:
        address: Of the connection.
        principal: Of its certificate; None for plain text.
    """

    address: str
    principal: str | None


@dataclass(frozen=True)
class Call:
    """A request, or where nobody looks into it only a connection."""

    port: int
    method: str | None = None
    path: str | None = None


class Mesh:
    """The mesh's objects of one stack."""

    def __init__(self, objects: Iterable[Object], trust_domain: str = "cluster.local") -> None:
        found = list(objects)
        self.by_kind: dict[str, list[Any]] = {}
        for item in found:
            self.by_kind.setdefault(item["kind"], []).append(item)
        (space,) = self.by_kind["Namespace"]
        self.ambient = space["metadata"]["labels"].get("istio.io/dataplane-mode") == "ambient"
        self.namespace = space["metadata"]["name"]
        self.trust_domain = trust_domain

    def principal(self, account: str, namespace: str | None = None) -> str:
        return f"{self.trust_domain}/ns/{namespace or self.namespace}/sa/{account}"

    def flows(self, places: Sequence[Place], principals: Mapping[str, str]) -> set[str]:
        """`sender→receiver:port` for all that is let through to pods of the stack.

        Args:
            places: Who is there.
            principals: Their identities by name; who has none is outside of the mesh.
        """
        return {
            f"{sender.name}→{receiver.name}:{port}"
            for receiver in places
            if receiver.pod and receiver.pod.namespace == self.namespace
            for sender in places
            if sender is not receiver or sender.several
            for port in receiver.ports
            if self.allows(Caller(sender.address, principals.get(sender.name)), receiver, port)
        }

    def allows(self, caller: Caller, receiver: Place, port: int) -> bool:
        """Whether a request of MCP gets through, straight to the pod or by way of its waypoint."""
        return self.allows_at_pod(caller, receiver, port) or self.allows_by_waypoint(caller, receiver, port)

    def allows_at_pod(self, caller: Caller, receiver: Place, port: int) -> bool:
        assert receiver.pod
        labels = receiver.pod.labels
        if caller.principal is None and self.mode(labels, port) == "STRICT":
            return False
        policies = [
            item
            for item in self.by_kind["AuthorizationPolicy"]
            if "targetRefs" not in item["spec"] and _selects(item["spec"], labels)
        ]
        call = Call(port) if self.ambient else Call(port, "POST", "/mcp")
        return permitted(policies, caller, call)

    def allows_by_waypoint(self, caller: Caller, receiver: Place, port: int) -> bool:
        assert receiver.pod
        for service in self.by_kind["Service"]:
            waypoint = service["metadata"]["labels"].get("istio.io/use-waypoint")
            selected = service["spec"].get("selector", {}).items() <= receiver.pod.labels.items()
            if waypoint is None or not selected or caller.principal is None:
                continue
            policies = [
                item
                for item in self.by_kind["AuthorizationPolicy"]
                for target in item["spec"].get("targetRefs", [])
                if (target["kind"], target["name"])
                in {("Gateway", waypoint), ("Service", service["metadata"]["name"])}
            ]
            proxy = Caller("10.99.1.1", self.principal(waypoint))
            if permitted(policies, caller, Call(port, "POST", "/mcp")) and self.allows_at_pod(
                proxy, receiver, port
            ):
                return True
        return False

    def mode(self, labels: Mapping[str, str], port: int) -> str:
        """The mutual TLS that a pod asks for at a port."""
        (everywhere,) = (it for it in self.by_kind["PeerAuthentication"] if "selector" not in it["spec"])
        own = [
            it
            for it in self.by_kind["PeerAuthentication"]
            if "selector" in it["spec"] and _selects(it["spec"], labels)
        ]
        assert len(own) <= 1, "which of two is taken depends on their age"
        spec = own[0]["spec"] if own else everywhere["spec"]
        return spec.get("portLevelMtls", {}).get(str(port), spec["mtls"])["mode"]


def _selects(spec: Object, labels: Mapping[str, str]) -> bool:
    return spec.get("selector", {}).get("matchLabels", {}).items() <= labels.items()


def permitted(policies: Sequence[Object], caller: Caller, call: Call) -> bool:
    """Without a policy everything is; with one, what a rule of any allows."""
    assert all(item["spec"].get("action", "ALLOW") == "ALLOW" for item in policies)
    rules = [rule for item in policies for rule in item["spec"].get("rules", [])]
    return not policies or any(_matches(rule, caller, call) for rule in rules)


def _matches(rule: Object, caller: Caller, call: Call) -> bool:
    assert rule.keys() <= {"from", "to"}
    sources = [item["source"] for item in rule.get("from", [])]
    operations = [item["operation"] for item in rule.get("to", [])]
    return (not sources or any(_is(source, caller) for source in sources)) and (
        not operations or any(_does(operation, call) for operation in operations)
    )


def _is(source: Object, caller: Caller) -> bool:
    assert source.keys() <= {"principals", "notPrincipals", "ipBlocks", "notNamespaces"}, "not modelled"
    address, namespace = ip_address(caller.address), caller.principal and caller.principal.split("/")[2]
    return (
        _one_of(source.get("principals"), caller.principal)
        and not ("notPrincipals" in source and _one_of(source["notPrincipals"], caller.principal))
        and namespace not in source.get("notNamespaces", ())
        and ("ipBlocks" not in source or any(address in ip_network(block) for block in source["ipBlocks"]))
    )


def _does(operation: Object, call: Call) -> bool:
    assert operation.keys() <= {"ports", "methods", "paths"}, "not modelled"
    if call.method is None:
        assert not operation.keys() & REQUEST_FIELDS, "ztunnel would deny everything"
    return (
        _one_of(operation.get("ports"), str(call.port))
        and _one_of(operation.get("methods"), call.method)
        and _one_of(operation.get("paths"), call.path)
    )


def _one_of(wanted: Sequence[str] | None, value: str | None) -> bool:
    """Istio's texts: the same, or `*` for any that there is; nothing wanted is any."""
    if wanted is None:
        return True
    assert not any("*" in item[:-1] or item.endswith("*") != (item == "*") for item in wanted), "not modelled"
    return value is not None and ("*" in wanted or value in wanted)
