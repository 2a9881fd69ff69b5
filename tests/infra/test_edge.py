"""The front door: what is public, how it is reached, and that all that it refers to is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.components.edge_proxies import build_proxies
from infra.custom_resources import to_data
from infra.engine.graph import Graph
from infra.engine.manifest import manifests
from infra.naming import Stack
from infra.settings.edge import EnvoyGateway
from infra.settings.subscriptions import Subscriptions
from services.gateway.access import METADATA_PATH as SERVED_METADATA_PATH
from tests.evaluated import evaluated
from tests.infra.flows import declared_pods, flows
from tests.infra.test_flows import surroundings
from tests.infra.variants import evaluate_prod_with

HOST = "mcp.example.com"
SECRET = {"gateway_class": "istio", "certificate": {"secret": "ours"}}

Object = Mapping[str, Any]


def objects(graph: Graph, kind: str) -> dict[str, Object]:
    return {item.name: item.body for item in manifests(graph) if item.kind == kind}


@pytest.fixture(scope="module")
def prod() -> Graph:
    return evaluated("prod")


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """Proxies in the stack's own namespace, a certificate that is there, no port 80."""
    edge = {**SECRET, "redirect": False}
    return evaluate_prod_with(tmp_path_factory.mktemp("beside"), edge=edge)


def test_what_is_public_is_calls_and_whose_tokens_they_need(prod: Graph) -> None:
    (rule,) = objects(prod, "HTTPRoute")["edge"]["spec"]["rules"]
    assert [match["path"] for match in rule["matches"]] == [
        {"type": "Exact", "value": path}
        for path in ("/mcp", SERVED_METADATA_PATH, f"{SERVED_METADATA_PATH}/mcp")
    ]
    assert SERVED_METADATA_PATH == "/.well-known/oauth-protected-resource"
    (backend,) = rule["backendRefs"]
    service = objects(prod, "Service")[backend["name"]]
    assert backend["port"] in [port["port"] for port in service["spec"]["ports"]]
    assert service["spec"]["type"] == "ClusterIP", "there is one front door"


def test_clients_speak_tls_to_a_host_that_is_named(prod: Graph) -> None:
    gateway = objects(prod, "Gateway")["edge"]["spec"]
    secure, plain = gateway["listeners"]
    assert (secure["protocol"], secure["port"], secure["hostname"]) == ("HTTPS", 443, HOST)
    assert secure["tls"]["mode"] == "Terminate"
    assert (plain["protocol"], plain["port"], plain["hostname"]) == ("HTTP", 80, HOST)
    assert objects(prod, "ClientTrafficPolicy")["edge"]["spec"]["tls"] == {"minVersion": "1.2"}


def test_the_certificate_is_for_the_hosts_and_where_the_listener_looks(prod: Graph) -> None:
    (certificate,) = objects(prod, "Certificate").values()
    (reference,) = objects(prod, "Gateway")["edge"]["spec"]["listeners"][0]["tls"]["certificateRefs"]
    assert certificate["spec"]["secretName"] == reference["name"]
    assert certificate["spec"]["dnsNames"] == [HOST]
    assert certificate["spec"]["issuerRef"] == {
        "group": "cert-manager.io",
        "kind": "ClusterIssuer",
        "name": "letsencrypt",
    }
    assert certificate["spec"]["privateKey"]["rotationPolicy"] == "Always"


def test_plain_http_only_sends_to_https(prod: Graph) -> None:
    redirect = objects(prod, "HTTPRoute")["edge-redirect"]["spec"]
    assert redirect["parentRefs"] == [{"name": "edge", "sectionName": "http"}]
    (rule,) = redirect["rules"]
    assert rule == {
        "filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}]
    }


def test_all_that_the_front_door_refers_to_is_there(prod: Graph) -> None:
    listeners = {item["name"] for item in objects(prod, "Gateway")["edge"]["spec"]["listeners"]}
    for route in objects(prod, "HTTPRoute").values():
        if any("sectionName" in parent for parent in route["spec"]["parentRefs"]):
            assert {parent["sectionName"] for parent in route["spec"]["parentRefs"]} <= listeners
            assert route["spec"]["hostnames"] == [HOST]
    for kind in ("ClientTrafficPolicy", "BackendTrafficPolicy"):
        for policy in objects(prod, kind).values():
            for target in policy["spec"]["targetRefs"]:
                assert target["name"] in objects(prod, target["kind"])


def test_streams_last_longer_than_any_call(prod: Graph) -> None:
    (rule,) = objects(prod, "HTTPRoute")["edge"]["spec"]["rules"]
    assert rule["timeouts"] == {"request": "3600s"}
    backend = objects(prod, "BackendTrafficPolicy")["edge"]["spec"]
    assert backend["timeout"]["http"]["requestTimeout"] == "3600s"


def test_requests_are_bounded_in_size_and_number_and_go_to_the_least_busy_replica(prod: Graph) -> None:
    spec = objects(prod, "BackendTrafficPolicy")["edge"]["spec"]
    assert spec["requestBuffer"] == {"limit": str(4 * 2**20)}
    assert spec["loadBalancer"] == {"type": "LeastRequest"}
    rules = spec["rateLimit"]["local"]["rules"]
    assert [rule["limit"] for rule in rules] == [{"requests": 50, "unit": "Second"}] * 2
    assert [rule["clientSelectors"][0]["sourceCIDR"] for rule in rules] == [
        {"type": "Distinct", "value": cidr} for cidr in ("0.0.0.0/0", "::/0")
    ]


def test_streams_use_up_no_bound_below_that_of_connections(prod: Graph) -> None:
    """Envoy's own is 1024 requests to all pods: streams alone would reach it, and calls would get 503."""
    most = objects(prod, "ClientTrafficPolicy")["edge"]["spec"]["connection"]["connectionLimit"]["value"]
    breaker = objects(prod, "BackendTrafficPolicy")["edge"]["spec"]["circuitBreaker"]
    assert breaker == dict.fromkeys(("maxConnections", "maxParallelRequests", "maxPendingRequests"), most)
    assert most > Subscriptions().max_streams * 3, "of the fewest replicas"


def test_the_front_doors_proxies_survive_a_node(prod: Graph) -> None:
    """Envoy Gateway alone runs one."""
    reference = objects(prod, "Gateway")["edge"]["spec"]["infrastructure"]["parametersRef"]
    assert reference == {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "edge"}
    made = objects(prod, "EnvoyProxy")["edge"]["spec"]["provider"]["kubernetes"]
    assert "replicas" not in made["envoyDeployment"], "Envoy Gateway would set it again and again"
    assert (made["envoyHpa"]["minReplicas"], made["envoyHpa"]["maxReplicas"]) == (3, 6)
    assert made["envoyPDB"] == {"maxUnavailable": 1}
    spread = made["envoyDeployment"]["pod"]["topologySpreadConstraints"]
    assert [it["topologyKey"] for it in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert {
        it["labelSelector"]["matchLabels"]["gateway.envoyproxy.io/owning-gateway-name"] for it in spread
    } == {"edge"}


def test_a_number_of_proxies_may_be_fixed(stack: Stack) -> None:
    alone = to_data(build_proxies(stack, EnvoyGateway()))["provider"]["kubernetes"]
    assert alone["envoyDeployment"]["replicas"] == 1
    assert not alone.keys() & {"envoyHpa", "envoyPDB"}, "a single one may be drained"
    two = to_data(build_proxies(stack, EnvoyGateway(replicas=2)))["provider"]["kubernetes"]
    assert two["envoyDeployment"]["replicas"] == 2
    assert two["envoyPDB"] == {"maxUnavailable": 1}


def test_large_answers_are_compressed(prod: Graph) -> None:
    (gzip,) = objects(prod, "BackendTrafficPolicy")["edge"]["spec"]["compressor"]
    assert gzip == {"type": "Gzip", "gzip": {}, "minContentLength": "1Ki"}, "without `gzip` it is ignored"


def test_a_secret_that_is_there_needs_no_cert_manager_and_port_80_can_be_closed(beside: Graph) -> None:
    assert objects(beside, "Certificate") == {}
    assert "edge-redirect" not in objects(beside, "HTTPRoute")
    (listener,) = objects(beside, "Gateway")["edge"]["spec"]["listeners"]
    assert listener["tls"]["certificateRefs"] == [{"name": "ours"}]
    assert objects(beside, "ClientTrafficPolicy") == objects(beside, "BackendTrafficPolicy") == {}


def test_several_hosts_have_a_listener_each(tmp_path: Path) -> None:
    hosts = [HOST, "mcp.example.org"]
    gateway = {"allowed_hosts": hosts, "autoscaling": {"min": 3, "max": 10}}
    graph = evaluate_prod_with(tmp_path, gateway=gateway)
    listeners = objects(graph, "Gateway")["edge"]["spec"]["listeners"]
    assert [(item["name"], item["hostname"]) for item in listeners] == [
        (name if index == 0 else f"{name}-2", host)
        for name in ("https", "http")
        for index, host in enumerate(hosts)
    ]
    route = objects(graph, "HTTPRoute")["edge"]["spec"]
    assert [parent["sectionName"] for parent in route["parentRefs"]] == ["https", "https-2"]


def reached(graph: Graph, proxies: Object | None = None) -> set[str]:
    """Who gets through to the gateway and, where its proxies are in the namespace, to and from them."""
    found = [item.body for item in manifests(graph)]
    workloads = [*found, *([proxies] if proxies else [])]
    names = ("monitoring", "envoy-gateway-system", "istio-system", "elsewhere", "kube-system", "mcp-prod")
    namespaces = {name: {"kubernetes.io/metadata.name": name} for name in names}
    policies = [item for item in found if item["kind"] == "NetworkPolicy"]
    places = [*declared_pods(workloads), *surroundings("prod")]
    return {
        flow
        for flow in flows(policies, places, namespaces)
        if flow.endswith(("→gateway:8080", "→solver:8089")) or "front-proxy" in flow
    }


def test_only_the_front_doors_namespace_may_call_the_gateway(prod: Graph) -> None:
    assert reached(prod) == {"front-door→gateway:8080"}


def test_proxies_in_the_namespace_alone_take_clients_and_alone_call_the_gateway(beside: Graph) -> None:
    """The class puts the Gateway's own labels on the pods that it makes (`infrastructure.labels`)."""
    own = objects(beside, "Gateway")["edge"]["spec"]["infrastructure"]["labels"]
    ports = [{"name": "https", "containerPort": 443}, {"name": "ops", "containerPort": 9090}]
    proxies = {
        "kind": "Deployment",
        "metadata": {"name": "front-proxy", "namespace": "mcp-prod"},
        "spec": {
            "template": {"metadata": {"labels": own}, "spec": {"containers": [{"name": "x", "ports": ports}]}}
        },
    }
    clients = {place.name for place in surroundings("prod")} - {"metadata", "pod-identity"}
    assert reached(beside, proxies) == {
        "front-proxy→gateway:8080",
        "front-proxy→dns:53",
        "prometheus→front-proxy:9090",
        *(f"{client}→front-proxy:443" for client in clients),
    }


SOLVER = {
    "kind": "Deployment",
    "metadata": {"name": "solver", "namespace": "mcp-prod"},
    "spec": {
        "template": {
            "metadata": {"labels": {"acme.cert-manager.io/http01-solver": "true"}},
            "spec": {
                "containers": [{"name": "acmesolver", "ports": [{"name": "http", "containerPort": 8089}]}]
            },
        }
    },
}
"""What cert-manager runs in the certificate's namespace, as a pod, while it proves a name by HTTP-01."""


def test_names_are_proven_over_http_only_where_that_is_set(prod: Graph, tmp_path: Path) -> None:
    assert not [flow for flow in reached(prod, SOLVER) if "solver" in flow]
    edge = {
        "gateway_class": "envoy",
        "certificate": {"issuer": "letsencrypt", "http01": True},
        "proxies": {"namespace": "envoy-gateway-system"},
    }
    proven = evaluate_prod_with(tmp_path, edge=edge)
    assert reached(proven, SOLVER) == {"front-door→gateway:8080", "front-door→solver:8089"}
    policy = objects(proven, "AuthorizationPolicy")["acme-solver"]["spec"]
    (rule,) = policy["rules"]
    assert policy["selector"] == {"matchLabels": {"acme.cert-manager.io/http01-solver": "true"}}
    assert rule["from"][0]["source"]["principals"] == [
        "cluster.local/ns/envoy-gateway-system/sa/envoy-mcp-prod-edge-8108dc24"
    ]
    assert rule["to"] == [{"operation": {"ports": ["8089"]}}]


def test_the_mesh_knows_proxies_in_the_namespace_by_their_service_account(beside: Graph) -> None:
    gateway = objects(beside, "Gateway")["edge"]["metadata"]
    assert gateway["annotations"] == {"gateway.istio.io/service-account": "edge"}
    policy = objects(beside, "AuthorizationPolicy")["gateway"]["spec"]
    callers = {
        name: rule["to"][0]["operation"]["ports"]
        for rule in policy["rules"]
        for name in rule["from"][0]["source"]["principals"]
    }
    assert callers["cluster.local/ns/mcp-prod/sa/edge"] == ["8080"]
    door = objects(beside, "AuthorizationPolicy")["edge"]["spec"]
    assert door["targetRefs"] == [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}]


def test_a_load_balancer_outside_is_known_by_its_networks(tmp_path: Path) -> None:
    edge = {**SECRET, "proxies": {"cidrs": ["203.0.113.0/24"]}}
    assert reached(evaluate_prod_with(tmp_path, edge=edge)) == {"internet→gateway:8080"}


def test_a_stack_without_an_edge_is_reached_as_its_gateway_says(configure: Callable[..., Any]) -> None:
    assert configure().edge is None
    assert objects(evaluated("dev"), "Gateway") == {}
