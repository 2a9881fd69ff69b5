"""What objects of the mesh and of the Gateway API refer to, and whether it is among the objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.infra.flows import INSTANCE_PORTS, WORKLOADS, template_of

Object = Mapping[str, Any]

CLUSTER_LABEL = "cnpg.io/cluster"
WAYPOINT_CLASS = "istio-waypoint"


class Objects:
    """All objects of one stack, which is one namespace."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self.all = objects
        (space,) = (item for item in objects if item["kind"] == "Namespace")
        self.namespace = space["metadata"]["name"]

    def of(self, *kinds: str) -> list[Object]:
        return [item for item in self.all if item["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object | None:
        return next((item for item in self.of(kind) if item["metadata"]["name"] == name), None)

    def pods(self, wanted: Mapping[str, str]) -> list[Object]:
        """Specs of the pods that have some labels."""
        templates = [template_of(item) for item in self.of(*WORKLOADS)]
        return [it["spec"] for it in templates if wanted.items() <= it["metadata"]["labels"].items()]

    def pod_ports(self, wanted: Mapping[str, str]) -> set[int]:
        operated = [{CLUSTER_LABEL: it["metadata"]["name"]} for it in self.of("Cluster")]
        return {port for port in INSTANCE_PORTS.values() if wanted in operated} | {
            port["containerPort"]
            for pod in self.pods(wanted)
            for container in pod["containers"]
            for port in container.get("ports", [])
        }

    def service_ports(self, name: str) -> set[int]:
        service = self.named("Service", name)
        return {port["port"] for port in service["spec"]["ports"]} if service else set()

    def accounts(self) -> set[str]:
        """Service accounts that pods run as. Istio's proxies have one with the name of their Gateway, and its
        class unless it is a waypoint's; CloudNativePG's instances have one with the name of their cluster."""
        declared = {item["metadata"]["name"] for item in self.of("ServiceAccount")}
        proxies = {
            it["metadata"]["name"]
            if it["spec"]["gatewayClassName"] == WAYPOINT_CLASS
            else f"{it['metadata']['name']}-{it['spec']['gatewayClassName']}"
            for it in self.of("Gateway")
        }
        operated = {item["metadata"]["name"] for item in self.of("Cluster")}
        return (declared & {pod["serviceAccountName"] for pod in self.pods({})}) | operated | proxies

    def callers(self) -> set[str]:
        """Other namespaces from which network policies let somebody in."""
        return {
            peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
            for policy in self.of("NetworkPolicy")
            for rule in policy["spec"].get("ingress", [])
            for peer in rule["from"]
            if "namespaceSelector" in peer
        }


def dangling(objects: Sequence[Object]) -> list[str]:
    """References that lead nowhere, as `Kind name: what`."""
    known = Objects(objects)
    checks = {
        "AuthorizationPolicy": _authorization,
        "DestinationRule": _destination_rule,
        "Gateway": _gateway,
        "HTTPRoute": _http_route,
        "PeerAuthentication": _peers,
        "Service": _waypoint,
        "VirtualService": _virtual_service,
    }
    return [
        f"{item['kind']} {item['metadata']['name']}: {problem}"
        for item in objects
        if item["kind"] in checks
        for problem in checks[item["kind"]](item, known)
    ]


def _authorization(policy: Object, known: Objects) -> Iterator[str]:
    spec = policy["spec"]
    ports = _selected_ports(spec, known) if "selector" in spec else set[int]()
    if "selector" in spec and not ports:
        yield "selects no pod"
    for target in spec.get("targetRefs", []):
        if known.named(target["kind"], target["name"]) is None:
            yield f"no {target['kind']} {target['name']}"
        ports |= known.service_ports(target["name"]) if target["kind"] == "Service" else set()
    for rule in spec.get("rules", []):
        for operation in (item["operation"] for item in rule["to"]):
            yield from (f"no port {port}" for port in operation["ports"] if int(port) not in ports)
        for source in (item["source"] for item in rule["from"]):
            for principal in source.get("principals", []):
                yield from _principal(principal, known)


def _principal(principal: str, known: Objects) -> Iterator[str]:
    _, ns, namespace, sa, account = principal.split("/")
    assert (ns, sa) == ("ns", "sa")
    if namespace != known.namespace:
        if namespace not in known.callers():
            yield f"no network policy lets namespace {namespace} in"
    elif account not in known.accounts():
        yield f"nobody is {account}"


def _peers(peers: Object, known: Objects) -> Iterator[str]:
    spec = peers["spec"]
    if "selector" in spec:
        ports = _selected_ports(spec, known)
        yield from (f"no port {port}" for port in spec.get("portLevelMtls", {}) if int(port) not in ports)


def _selected_ports(spec: Object, known: Objects) -> set[int]:
    return known.pod_ports(spec["selector"]["matchLabels"])


def _service(name: str, port: int | None, known: Objects) -> Iterator[str]:
    if known.named("Service", name) is None:
        yield f"no Service {name}"
    elif port is not None and port not in known.service_ports(name):
        yield f"Service {name} has no port {port}"


def _destination_rule(rule: Object, known: Objects) -> Iterator[str]:
    yield from _service(rule["spec"]["host"], None, known)


def _virtual_service(service: Object, known: Objects) -> Iterator[str]:
    for host in service["spec"]["hosts"]:
        yield from _service(host, None, known)
    for route in service["spec"]["http"]:
        for destination in (item["destination"] for item in route["route"]):
            yield from _service(destination["host"], destination["port"]["number"], known)


def _http_route(route: Object, known: Objects) -> Iterator[str]:
    for parent in route["spec"]["parentRefs"]:
        if parent.get("kind", "Gateway") == "Service":
            yield from _service(parent["name"], parent.get("port"), known)
            continue
        gateway = known.named("Gateway", parent["name"])
        if gateway is None:
            yield f"no Gateway {parent['name']}"
        elif parent.get("sectionName") not in {None, *(it["name"] for it in gateway["spec"]["listeners"])}:
            yield f"Gateway {parent['name']} has no listener {parent['sectionName']}"
    for rule in route["spec"]["rules"]:
        for backend in rule.get("backendRefs", []):
            yield from _service(backend["name"], backend["port"], known)


def _gateway(gateway: Object, known: Objects) -> Iterator[str]:
    parameters = gateway["spec"].get("infrastructure", {}).get("parametersRef")
    if parameters and known.named(parameters["kind"], parameters["name"]) is None:
        yield f"no {parameters['kind']} {parameters['name']}"


def _waypoint(service: Object, known: Objects) -> Iterator[str]:
    name = service["metadata"]["labels"].get("istio.io/use-waypoint")
    gateway = known.named("Gateway", name) if name else None
    if name and (gateway is None or gateway["spec"]["gatewayClassName"] != WAYPOINT_CLASS):
        yield f"no waypoint {name}"
