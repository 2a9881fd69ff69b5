from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.comparison import prices
from infra.comparison.cost import BY_NODES, BY_TIME, estimate
from infra.comparison.cost_aws import BY_USE
from infra.comparison.cost_pods import Amount
from infra.engine.graph import UNKNOWN, Resource, Secret
from infra.errors import PlatformError
from tests.evaluated import evaluated
from tests.preview.graphs import graph, kubernetes, resource

SIMPLE = """
date: 2026-01-01
source: this test
cpu_hour: 1
memory_gib_hour: 0.1
volume_gib_month: {"": 2, gp3: 3}
load_balancer_hour: 1
rds_instance_hour: {db.x.large: 1}
rds_storage_gib_month: {gp3: 1}
elasticache_node_hour: {cache.x.large: 1}
valkey_share: 0.5
"""
HOURS = prices.HOURS


@pytest.fixture
def simple(tmp_path: Path) -> prices.Prices:
    file = tmp_path / "prices.yaml"
    file.write_text(SIMPLE)
    return prices.load(file)


def pod(cpu: Any = "500m", memory: Any = "2Gi", **more: Any) -> dict[str, Any]:
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    return {"containers": [{"name": "main", "resources": {"requests": requests}}], **more}


def workload(kind: str, spec: dict[str, Any], **more: Any) -> Resource:
    return kubernetes(f"apps/v1:{kind}", "web", {"template": {"spec": spec}, **more})


def month(simple: prices.Prices, *items: Resource) -> Amount:
    found = estimate(graph(*items), simple)
    assert found.unpriced == ()
    return found.total


def test_pods_cost_what_they_request_times_their_replicas(simple: prices.Prices) -> None:
    assert month(simple, workload("Deployment", pod(), replicas=3)) == Amount.of(3 * 0.7 * HOURS)


def test_an_autoscaler_makes_it_a_range(simple: prices.Prices) -> None:
    target = {"kind": "Deployment", "name": "web"}
    scaler = {"minReplicas": 2, "maxReplicas": 5, "scaleTargetRef": target}
    found = month(
        simple,
        workload("Deployment", pod()),
        kubernetes("autoscaling/v2:HorizontalPodAutoscaler", "web", scaler),
    )
    assert (found.low, found.high) == pytest.approx((2 * 0.7 * HOURS, 5 * 0.7 * HOURS))


def test_keda_scales_to_nothing(simple: prices.Prices) -> None:
    scaled = {"maxReplicaCount": 4, "scaleTargetRef": {"name": "web"}}
    found = month(
        simple, workload("Deployment", pod()), kubernetes("keda.sh/v1alpha1:ScaledObject", "web", scaled)
    )
    assert (found.low, found.high) == pytest.approx((0, 4 * 0.7 * HOURS))


def test_init_containers_count_where_they_need_more_and_sidecars_always(simple: prices.Prices) -> None:
    def init(cpu: str, **more: str) -> dict[str, Any]:
        return {"name": "i", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}, **more}

    larger = workload("Deployment", pod("1", "1Gi", initContainers=[init("3")]))
    assert month(simple, larger) == Amount.of(3.1 * HOURS)
    sidecar = workload("Deployment", pod("1", "1Gi", initContainers=[init("1", restartPolicy="Always")]))
    assert month(simple, sidecar) == Amount.of(2.2 * HOURS)


def test_limits_stand_for_requests_that_are_not_there(simple: prices.Prices) -> None:
    containers = [{"name": "main", "resources": {"limits": {"cpu": 2, "memory": "1Gi"}}}]
    assert month(simple, workload("Deployment", {"containers": containers})) == Amount.of(2.1 * HOURS)


def test_a_stateful_set_has_a_volume_for_each_replica(simple: prices.Prices) -> None:
    claim = {"spec": {"storageClassName": "gp3", "resources": {"requests": {"storage": "10Gi"}}}}
    item = workload("StatefulSet", pod("1", "10Gi"), replicas=2, volumeClaimTemplates=[claim])
    assert month(simple, item) == Amount.of(2 * 2 * HOURS + 2 * 30)


def test_volumes_load_balancers_and_databases_have_prices(simple: prices.Prices) -> None:
    claim = kubernetes("core/v1:PersistentVolumeClaim", "v", {"resources": {"requests": {"storage": "5Gi"}}})
    assert month(simple, claim) == Amount.of(10)
    assert month(simple, kubernetes("core/v1:Service", "s", {"type": "LoadBalancer"})) == Amount.of(HOURS)
    assert month(simple, kubernetes("core/v1:Service", "s", {"type": "ClusterIP"})) == Amount.of(0)
    cluster = {
        "instances": 3,
        "resources": {"requests": {"cpu": "1", "memory": "10Gi"}},
        "storage": {"size": "10Gi", "storageClass": "gp3"},
        "walStorage": {"size": "5Gi"},
    }
    postgres = kubernetes("postgresql.cnpg.io/v1:Cluster", "p", cluster)
    assert month(simple, postgres) == Amount.of(3 * (2 * HOURS + 30 + 10))


def test_managed_services_cost_their_size_and_number(simple: prices.Prices) -> None:
    database = {"instanceClass": "db.x.large", "storageType": "gp3", "allocatedStorage": 100}
    both = resource(
        "aws:rds/instance:Instance", "d", {**database, "multiAz": True, "maxAllocatedStorage": 200}
    )
    assert month(simple, both) == Amount(2 * HOURS + 200, 2 * HOURS + 400)
    cache = {"nodeType": "cache.x.large", "numCacheClusters": 2}
    kind = "aws:elasticache/replicationGroup:ReplicationGroup"
    assert month(simple, resource(kind, "c", {**cache, "engine": "redis"})) == Amount.of(2 * HOURS)
    assert month(simple, resource(kind, "c", {**cache, "engine": "valkey"})) == Amount.of(HOURS)
    assert month(simple, resource("aws:kms/key:Key", "k", {})) == Amount.of(1)
    assert month(simple, resource("aws:iam/role:Role", "r", {})) == Amount.of(0)


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (workload("Deployment", pod(None)), "container main: cpu is not requested"),
        (workload("Deployment", pod(UNKNOWN)), "container main: cpu is known after up"),
        (workload("Deployment", pod("much")), "container main: cpu: much is not understood"),
        (workload("Deployment", pod(), replicas=UNKNOWN), "how many there are is known after up"),
        (kubernetes("apps/v1:Deployment", "web", inputs={"spec": UNKNOWN}), "what it is is known after up"),
        (kubernetes("apps/v1:Deployment", "web", inputs={"spec": Secret({})}), "what it is is secret"),
        (
            kubernetes("apps/v1:Deployment", "web", {"template": {"spec": UNKNOWN}}),
            "its pod is known after up",
        ),
        (workload("Deployment", {"containers": UNKNOWN}), "what runs in a pod is known after up"),
        (workload("Deployment", {"containers": [UNKNOWN]}), "what runs in a pod is known after up"),
        (
            workload("Deployment", {"containers": [{"name": "main", "resources": UNKNOWN}]}),
            "container main: cpu is known after up",
        ),
        (workload("DaemonSet", pod()), BY_NODES),
        (kubernetes("batch/v1:CronJob", "web", {}), BY_TIME),
        (
            kubernetes("core/v1:PersistentVolumeClaim", "web", {"storageClassName": "gold"}),
            "storage class gold has no price",
        ),
        (
            kubernetes("core/v1:PersistentVolumeClaim", "web", {"resources": UNKNOWN}),
            "the volume's size is known after up",
        ),
        (
            kubernetes("core/v1:Service", "web", {"type": UNKNOWN}),
            "whether it has a load balancer is known after up",
        ),
        (kubernetes("example.com/v1:Cluster", "web", {}), "a Cluster of example.com is not in the estimate"),
        (resource("aws:s3/bucket:Bucket", "web", {}), BY_USE),
        (resource("aws:new/thing:Thing", "web", {}), "it has no price in the table"),
        (
            resource("aws:rds/instance:Instance", "web", {"instanceClass": "db.y"}),
            "db.y has no price in the table",
        ),
        (
            resource("aws:rds/instance:Instance", "web", {"instanceClass": Secret("db.y")}),
            "its class is secret",
        ),
        (
            resource(
                "aws:rds/instance:Instance",
                "web",
                {"instanceClass": "db.m7g.large", "allocatedStorage": 20, "multiAz": UNKNOWN},
            ),
            "whether there is a standby is known after up",
        ),
    ],
)
def test_what_nobody_can_tell_is_unknown_and_never_nothing(
    simple: prices.Prices, item: Resource, why: str
) -> None:
    found = estimate(graph(item), simple)
    assert [(line.what.partition("/")[2], line.why) for line in found.unpriced] == [("web", why)]
    assert found.lines == ()


@pytest.mark.parametrize("key", ["minReplicas", "maxReplicas"])
def test_an_autoscaler_whose_bounds_are_not_known_yet_leaves_the_cost_unknown(
    simple: prices.Prices, key: str
) -> None:
    bounds = {"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web"}}
    scaler = kubernetes("autoscaling/v2:HorizontalPodAutoscaler", "web", {**bounds, key: UNKNOWN})
    found = estimate(graph(workload("Deployment", pod()), scaler), simple)
    assert [(line.what, line.why) for line in found.unpriced] == [
        ("Deployment/web", "how many there are is known after up")
    ]
    assert found.lines == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cpu_hour: 1\n", "date and source missing"),
        ("date: 2026-01-01\nsource: x\ncpu_hour: cheap\n", "cpu_hour"),
        ("date: 2026-01-01\nsource: x\ncpu_hour: -1\n", "cpu_hour"),
        ("date: 2026-01-01\nsource: x\ncpu_hours: 1\n", "cpu_hours"),
        ("date: [\n", "prices.yaml:2:"),
        ("- 1\n", "must hold keys and prices"),
    ],
)
def test_a_wrong_price_file_is_an_error_that_names_the_key(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(text)
    with pytest.raises(PlatformError, match=r"prices\.yaml") as error:
        prices.load(file)
    assert says in str(error.value)


def test_ones_own_prices_add_to_ours(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("date: 2026-01-01\nsource: x\nvolume_gib_month: {fast: 1.5}\n")
    merged = prices.load(file)
    assert merged.volume_gib_month == {**prices.load().volume_gib_month, "fast": 1.5}
    assert merged.cpu_hour == prices.load().cpu_hour


def test_every_resource_of_prod_is_priced_free_or_charged_by_use() -> None:
    found = estimate(evaluated("prod"), prices.load())
    assert {item.why for item in found.unpriced} <= {BY_USE, BY_TIME, BY_NODES}
    assert found.total.high > found.total.low > 0
