"""Who may open a connection to whom, by the NetworkPolicies among some objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Final

from infra.cluster.netpol.model import Direction, Pod, named_ports
from infra.cluster.netpol.verdicts import Policies, Ports

Object = Mapping[str, Any]

WORKLOADS: Final = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
INSTANCE_PORTS: Final = {"postgresql": 5432, "status": 8000, "metrics": 9187}
"""Of the pods that CloudNativePG makes."""


@dataclass(frozen=True)
class Place:
    """Something that connects, or is connected to.

    Attributes:
        name: As it is written in flows.
        address: IPv4.
        ports: TCP ports that are tried; the others of the world are not known to exist.
        pod: What policies see; None outside the cluster's pods, where no policy restricts it.
        several: Whether there are others like it, which it may connect to.
    """

    name: str
    address: str
    ports: Sequence[int] = ()
    pod: Pod | None = None
    several: bool = False


def template_of(workload: Object) -> Object:
    """What its pods are made from."""
    spec = workload["spec"]["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else workload["spec"]
    return spec["template"]


def declared_pods(objects: Iterable[Object]) -> list[Place]:
    """One pod of each workload, with addresses of their own; named after the workload."""
    places: list[Place] = []
    for item in objects:
        found = _labels_and_ports(item)
        if found is None:
            continue
        name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
        pod = Pod(namespace, name, found[0], f"10.99.0.{len(places) + 2}", found[1])
        ports = sorted(number for _, number in pod.ports.values())
        several = item["kind"] in {"StatefulSet", "Cluster"} and members(item) > 1
        places.append(Place(name, pod.address, ports, pod, several))
    return places


def members(item: Object) -> int:
    """How many pods there are that know each other."""
    return int(item["spec"].get("replicas") or item["spec"].get("instances") or 1)


def _labels_and_ports(item: Object) -> tuple[dict[str, str], dict[str, tuple[str, int]]] | None:
    """Of the pods that an object stands for, if it does."""
    if item["kind"] == "Cluster":
        ports = {name: ("TCP", number) for name, number in INSTANCE_PORTS.items()}
        return {"cnpg.io/cluster": item["metadata"]["name"]}, ports
    if item["kind"] in WORKLOADS:
        template = template_of(item)
        return template["metadata"]["labels"], named_ports(template["spec"])
    return None


def flows(
    policies: Iterable[Object], places: Sequence[Place], namespaces: Mapping[str, Mapping[str, str]]
) -> set[str]:
    """`sender→receiver:port` for all pairs of places between which the policies let TCP through."""
    known = Policies(policies, [place.pod for place in places if place.pod], namespaces)
    return {
        f"{sender.name}→{receiver.name}:{port}"
        for sender in places
        for receiver in places
        if (sender is not receiver or sender.several) and (sender.pod or receiver.pod)
        for port in receiver.ports
        if _allows(known, sender, receiver, port, "Egress")
        and _allows(known, receiver, sender, port, "Ingress")
    }


def _allows(policies: Policies, place: Place, peer: Place, port: int, direction: Direction) -> bool:
    permissions = policies.permissions(place.pod, direction) if place.pod else None
    if permissions is None:
        return True
    return any(
        (it.networks is None or any(ip_address(peer.address) in ip_network(cidr) for cidr in it.networks))
        and (it.ports is None or any(_covers(ports, port) for ports in it.ports))
        for it in permissions
    )


def _covers(ports: Ports, port: int) -> bool:
    return ports.protocol == "TCP" and ports.first <= port <= ports.last
