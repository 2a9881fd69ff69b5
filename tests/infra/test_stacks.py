"""Both stacks as they are: what they consist of, and what must hold for every object.

After an intended change: UPDATE_SNAPSHOTS=1 .venv/bin/python -m pytest tests/infra/test_stacks.py
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.components.redis import access_list
from infra.engine.graph import UNKNOWN, Graph, Resource, Secret
from infra.engine.record import record
from infra.labels import COMPONENT, INSTANCE, NAME, PART_OF
from infra.naming import DEFAULT_DENY, EVERY_POD
from infra.quantities import cpu_millis, size_bytes
from services.kit.conventions import SERVER_LABEL

SNAPSHOTS = Path(__file__).parent / "snapshots"
UPDATE = "UPDATE_SNAPSHOTS"
WORKLOADS = ("DaemonSet", "Deployment", "StatefulSet")

Object = dict[str, Any]


def kind(resource: Resource) -> str:
    return resource.type.rsplit(":", 1)[1]


def objects(graph: Graph, *kinds: str) -> dict[str, Object]:
    """The inputs of the Kubernetes objects of some kinds, by `Kind/name`; with what is behind `of_others` for
    those that are not in the stack's namespace."""
    return {
        f"{kind(item)}/{item.name}{of_others(graph, item.inputs)}": dict(item.inputs)
        for item in graph.kubernetes_objects()
        if not kinds or kind(item) in kinds
    }


def of_others(graph: Graph, item: Mapping[str, Any]) -> str:
    """`.namespace` of an object that is not in the stack's own."""
    own = f"mcp-{graph.stack}"
    namespace = item["metadata"].get("namespace", own)
    assert namespace in {own, f"logs-{own}"}
    return "" if namespace == own else f".{namespace}"


def services(graph: Graph) -> dict[str, Object]:
    """The templates of pods that go on."""
    return {name: item["spec"]["template"] for name, item in objects(graph, *WORKLOADS).items()}


def jobs(graph: Graph) -> dict[str, Object]:
    """The templates of pods whose work is done at some time."""
    return {
        name: item["spec"]["jobTemplate"]["spec"]["template"]
        for name, item in objects(graph, "CronJob").items()
    }


def templates(graph: Graph) -> dict[str, Object]:
    return {**services(graph), **jobs(graph)}


def containers(graph: Graph) -> Iterator[tuple[str, Object]]:
    for name, template in templates(graph).items():
        for container in (*template["spec"].get("initContainers", ()), *template["spec"]["containers"]):
            yield f"{name}/{container['name']}", container


def picks(selector: Object, labels: Object) -> bool:
    matched = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    wanted = selector.get("matchExpressions", [])
    return matched and all(labels.get(item["key"]) in item["values"] for item in wanted)


def test_a_stack_consists_of_what_its_snapshot_lists(graph: Graph) -> None:
    lines = sorted(f"{item.type} {item.name}" for item in graph.resources)
    text = "".join(f"{line}\n" for line in lines)
    snapshot = SNAPSHOTS / f"{graph.stack}.txt"
    if UPDATE in os.environ:
        snapshot.write_text(text)
    assert text == snapshot.read_text(), f"if this is intended, run again with {UPDATE}=1"


def test_nothing_depends_on_the_machine_or_the_moment(graph: Graph) -> None:
    again = {item.urn: item for item in record(graph.stack).resources}
    assert [item.urn for item in graph.resources if item != again.get(item.urn)] == []
    assert len(graph.resources) == len(again)


def test_a_deployment_has_the_objects_of_its_preview_and_knows_all_of_them(
    graph: Graph, deployed: Graph
) -> None:
    assert {item.urn for item in deployed.resources} == {item.urn for item in graph.resources}
    for resource in deployed.kubernetes_objects():
        assert UNKNOWN not in leaves(resource.inputs), resource.urn


def test_secrets_are_made_from_what_was_generated(deployed: Graph) -> None:
    values = {name: item["stringData"].value for name, item in objects(deployed, "Secret").items()}
    if deployed.stack == "prod":
        assert values == {}
        return
    assert values["Secret/redis-auth"]["password"] == values["Secret/postgres-auth"]["password"] == "hunter2"
    assert values["Secret/redis-auth"]["users.acl"] == access_list("hunter2")
    assert values["Secret/postgres-auth"] == {"username": "mcp", "password": "hunter2", "database": "mcp"}


def leaves(value: object) -> Iterator[object]:
    """Every single value, and the wrapper of every secret one."""
    if isinstance(value, Secret):
        yield value
        yield from leaves(value.value)
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    else:
        yield value


def test_only_secrets_hold_what_is_secret_or_not_yet_known(graph: Graph) -> None:
    for name, item in objects(graph).items():
        special = any(leaf is UNKNOWN or isinstance(leaf, Secret) for leaf in leaves(item))
        assert special == name.startswith("Secret/"), name


def test_every_object_has_an_explicit_name_namespace_and_all_labels(graph: Graph) -> None:
    for name, item in objects(graph).items():
        metadata = item["metadata"]
        assert name.partition("/")[2] == metadata["name"] + of_others(graph, item)
        if name.startswith("Namespace/"):
            assert metadata["name"] in {f"mcp-{graph.stack}", f"logs-mcp-{graph.stack}"}
        elif name.startswith("PriorityClass/"):
            assert metadata["name"] in {f"mcp-{graph.stack}-critical", f"mcp-{graph.stack}-standard"}
        else:
            assert metadata["namespace"]
        assert {NAME, INSTANCE, COMPONENT, PART_OF} <= set(metadata["labels"])
        assert metadata["labels"][INSTANCE] == graph.stack


def test_every_resource_is_part_of_a_component_and_uses_the_one_provider(graph: Graph) -> None:
    components = {item.urn: item for item in graph.resources if not item.custom}
    assert all(re.fullmatch(r"mcp:[a-z]+:[A-Z]\w+", item.type) for item in components.values())
    for resource in graph.resources:
        if resource.custom and not resource.type.startswith("pulumi:"):
            assert resource.parent in components, resource.urn
    (provider,) = graph.by_type("pulumi:providers:kubernetes").values()
    assert provider.inputs["context"]
    for resource in graph.kubernetes_objects():
        assert resource.provider.startswith(f"{provider.urn}::"), resource.urn


def test_components_do_not_hand_their_aliases_or_protection_down(graph: Graph) -> None:
    kept = {"Namespace", "StatefulSet", "PersistentVolumeClaim", "Cluster"}
    for resource in graph.kubernetes_objects():
        expected = graph.stack == "prod" and kind(resource) in kept and resource.name != "logs-mcp-prod"
        assert bool(resource.options.get("protect")) == expected, resource.urn
        if kind(resource) not in {"NetworkPolicy", "PriorityClass"}:
            assert bool(resource.options.get("retainOnDelete")) == expected, resource.urn


def test_what_guards_pods_that_outlive_the_stack_outlives_it_too(graph: Graph) -> None:
    """Their refusal of everything, and what the operator of a replicated database must still be let do."""
    policies = [item for item in graph.kubernetes_objects() if kind(item) == "NetworkPolicy"]
    own = [item for item in policies if item.inputs["metadata"]["namespace"] == f"mcp-{graph.stack}"]
    keep = {"helm.sh/resource-policy": "keep"}
    kept = {item.name for item in own if item.inputs["metadata"].get("annotations") == keep}
    assert kept == {"default-deny"} | ({"postgres"} if graph.stack == "prod" else set[str]())
    for store in objects(graph, "ObjectStore").values():
        assert store["metadata"]["annotations"] == keep
    retained = {item.urn for item in policies if item.options.get("retainOnDelete")}
    assert retained == ({item.urn for item in own if item.name in kept} if graph.stack == "prod" else set())


def test_what_every_call_goes_through_comes_before_the_rest_where_there_is_no_room(graph: Graph) -> None:
    classes = {item["metadata"]["name"]: item for item in objects(graph, "PriorityClass").values()}
    urgent = {"gateway", "cache", "database"}
    for name, pod in templates(graph).items():
        tier = "critical" if pod["metadata"]["labels"][COMPONENT] in urgent else "standard"
        expected = f"mcp-prod-{tier}" if graph.stack == "prod" else None
        assert pod["spec"].get("priorityClassName") == expected, name
    for cluster in objects(graph, "Cluster").values():
        assert cluster["spec"]["priorityClassName"] == "mcp-prod-critical"
    if graph.stack == "prod":
        critical, standard = classes["mcp-prod-critical"], classes["mcp-prod-standard"]
        assert critical["value"] > standard["value"] > 0
        assert standard["preemptionPolicy"] == "Never"
        assert not any(item["globalDefault"] for item in classes.values())
    else:
        assert classes == {}


def test_selectors_pick_exactly_the_pods_of_their_own_service(graph: Graph) -> None:
    pods = {name.split("/")[1]: item["metadata"]["labels"] for name, item in templates(graph).items()}
    found = objects(graph, *WORKLOADS, "PodDisruptionBudget", "Service")
    for name, item in found.items():
        selector, wanted = item["spec"]["selector"], name.split("/")[1]
        if name.startswith("Service/"):
            selector, wanted = {"matchLabels": selector}, served_by(graph, wanted)
        assert [own for own, labels in pods.items() if picks(selector, labels)] == [wanted], name


def served_by(graph: Graph, service: str) -> str:
    """The workload behind a Service: of the same name, or the one whose members have their names by it."""
    governed = {
        item["spec"]["serviceName"]: name.split("/")[1]
        for name, item in objects(graph, "StatefulSet").items()
    }
    return governed.get(service, service)


def test_service_ports_are_ports_of_the_pods(graph: Graph) -> None:
    ports = {name: {port["name"] for port in it.get("ports", ())} for name, it in containers(graph)}
    for name, service in objects(graph, "Service").items():
        own = served_by(graph, name.split("/")[1])
        for port in service["spec"]["ports"]:
            target = port["targetPort"]
            assert any(target in found for pod, found in ports.items() if pod.split("/")[1] == own), name


def test_replicas_belong_to_the_deployment_or_to_its_autoscaler(graph: Graph) -> None:
    scalers = {
        item["spec"]["scaleTargetRef"]["name"] for item in objects(graph, "HorizontalPodAutoscaler").values()
    }
    deployments = objects(graph, "Deployment")
    assert scalers <= {name.split("/")[1] for name in deployments}
    for name, deployment in deployments.items():
        assert ("replicas" in deployment["spec"]) != (name.split("/")[1] in scalers), name


def test_a_deployment_has_one_replica_or_a_disruption_budget(graph: Graph) -> None:
    budgets = {name.split("/")[1] for name in objects(graph, "PodDisruptionBudget")}
    for name, deployment in objects(graph, "Deployment").items():
        alone = deployment["spec"].get("replicas") == 1
        assert alone != (name.split("/")[1] in budgets), name


def test_every_service_has_three_replicas_in_production_and_one_on_one_machine(graph: Graph) -> None:
    scalers = objects(graph, "HorizontalPodAutoscaler")
    for name, deployment in objects(graph, "Deployment").items():
        if graph.stack == "prod":
            assert scalers[f"HorizontalPodAutoscaler/{name.split('/')[1]}"]["spec"]["minReplicas"] == 3
        else:
            assert deployment["spec"]["replicas"] == 1


def test_every_service_account_is_used_by_exactly_one_workload(graph: Graph) -> None:
    used = [item["spec"]["serviceAccountName"] for item in templates(graph).values()]
    accounts = objects(graph, "ServiceAccount").values()
    assert sorted(used) == sorted(item["metadata"]["name"] for item in accounts)
    assert all(
        item["automountServiceAccountToken"] is False for item in objects(graph, "ServiceAccount").values()
    )


def test_only_the_gateway_and_the_backup_of_objects_may_ask_the_api(graph: Graph) -> None:
    backed_up = bool(jobs(graph))
    tokens = {
        name
        for name, item in templates(graph).items()
        if "serviceAccountToken" in json.dumps(item["spec"]["volumes"])
    }
    assert tokens == {"Deployment/gateway"} | ({"CronJob/backup-configuration"} if backed_up else set())
    allowed = {"gateway"} | ({"backup-configuration"} if backed_up else set())
    assert set(objects(graph, "Role")) == {f"Role/{name}" for name in allowed}
    assert set(objects(graph, "RoleBinding")) == {f"RoleBinding/{name}" for name in allowed}


def test_every_pod_is_covered_by_default_deny_and_may_be_scraped(graph: Graph) -> None:
    policies = objects(graph, "NetworkPolicy")
    for name, template in templates(graph).items():
        labels, own = template["metadata"]["labels"], of_others(graph, objects(graph)[name])
        covering = {
            item["metadata"]["name"]
            for item in policies.values()
            if of_others(graph, item) == own and picks(item["spec"]["podSelector"], labels)
        }
        assert {DEFAULT_DENY, EVERY_POD} < covering, name
        # What ends by itself is watched by kube-state-metrics.
        assert name in jobs(graph) or any(
            port["name"] == "ops"
            for container in template["spec"]["containers"]
            for port in container["ports"]
        )


def test_every_file_that_a_pod_mounts_is_in_a_config_map_or_secret(deployed: Graph) -> None:
    files = {name: set(item["data"]) for name, item in objects(deployed, "ConfigMap").items()}
    files |= {name: set(item["stringData"].value) for name, item in objects(deployed, "Secret").items()}
    files |= {
        f"Secret/{item['spec']['target']['name']}{of_others(deployed, item)}": keys_of(item)
        for item in objects(deployed, "ExternalSecret").values()
    }
    kinds = {"configMap": "ConfigMap", "secret": "Secret"}
    # Every namespace has the first; the operator of Postgres makes the second.
    others = {"kube-root-ca.crt", *(["postgres-ca"] if objects(deployed, "Cluster") else [])}
    sources = [
        (
            f"{kinds[word]}/{reference['name']}{of_others(deployed, objects(deployed)[owner])}",
            {item["key"] for item in reference["items"]},
        )
        for owner, template in templates(deployed).items()
        for volume in template["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        for word, reference in source.items()
        if word in kinds and reference["name"] not in others
    ]
    assert sources
    assert [name for name, keys in sources if not keys <= files.get(name, set())] == []


def keys_of(external_secret: Object) -> set[str]:
    spec = external_secret["spec"]
    return set(spec["target"]["template"].get("data") or [item["secretKey"] for item in spec["data"]])


def test_every_mount_and_claim_is_there(graph: Graph) -> None:
    claims = {name.split("/")[1] for name in objects(graph, "PersistentVolumeClaim")}
    for name, template in templates(graph).items():
        owner = objects(graph)[name]["spec"]
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        made = {claim["metadata"]["name"] for claim in owner.get("volumeClaimTemplates", [])}
        for container in (*template["spec"].get("initContainers", ()), *template["spec"]["containers"]):
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes) | made, name
        used = {
            item["persistentVolumeClaim"]["claimName"]
            for item in volumes.values()
            if "persistentVolumeClaim" in item
        }
        assert used <= claims, name


def test_nothing_that_holds_data_leaves_with_a_release(graph: Graph) -> None:
    for name, item in objects(graph, "StatefulSet", "PersistentVolumeClaim").items():
        assert item["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep", name


def test_images_are_named_by_content_or_digest(graph: Graph) -> None:
    built = {item.inputs["tags"][0] for item in graph.by_type("docker-build:index:Image").values()}
    for name, container in containers(graph):
        assert container["image"] in built or "@sha256:" in container["image"], name


def test_tool_servers_are_labelled_for_discovery(graph: Graph) -> None:
    servers = {
        name.split("/")[1]: item["metadata"]["labels"].get(SERVER_LABEL)
        for name, item in objects(graph, "Service").items()
    }
    assert {name: label for name, label in servers.items() if label} == {"filesystem": "filesystem"}


def pods_own_claims(template: Object) -> list[Object]:
    """Templates of the claims that are made with each pod."""
    volumes = template["spec"]["volumes"]
    return [it["ephemeral"]["volumeClaimTemplate"] for it in volumes if "ephemeral" in it]


def test_the_quota_admits_the_stack_at_its_busiest(graph: Graph) -> None:
    """Every service at its maximum, and one more pod of each while it is updated; all jobs at once."""
    hard = objects(graph, "ResourceQuota")["ResourceQuota/mcp-platform"]["spec"]["hard"]
    most = {
        item["spec"]["scaleTargetRef"]["name"]: item["spec"]["maxReplicas"]
        for item in objects(graph, "HorizontalPodAutoscaler").values()
    }
    pods = cpu = memory = storage = 0
    for name, template in templates(graph).items():
        if of_others(graph, objects(graph)[name]):
            continue  # test_telemetry.py: one pod a node
        count = most.get(name.split("/")[1], 1) + (name not in jobs(graph))
        going_on = [it for it in template["spec"].get("initContainers", ()) if "restartPolicy" in it]
        together = [*going_on, *template["spec"]["containers"]]
        requests = [container["resources"]["requests"] for container in together]
        pods += count
        cpu += count * sum(cpu_millis(item["cpu"]) for item in requests)
        memory += count * sum(size_bytes(item["memory"]) for item in requests)
        claims = [*objects(graph)[name]["spec"].get("volumeClaimTemplates", []), *pods_own_claims(template)]
        storage += sum(size_bytes(claim["spec"]["resources"]["requests"]["storage"]) for claim in claims)
    for claim in objects(graph, "PersistentVolumeClaim").values():
        storage += size_bytes(claim["spec"]["resources"]["requests"]["storage"])
    assert pods <= int(hard["pods"])
    assert cpu <= cpu_millis(hard["requests.cpu"])
    assert memory <= size_bytes(hard["requests.memory"])
    assert 0 < storage <= size_bytes(hard["requests.storage"])
