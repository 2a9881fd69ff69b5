from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.components import postgres, postgres_cluster, redis, redis_members
from infra.components.postgres import PostgresArgs
from infra.components.postgres_cluster import ClusterArgs
from infra.components.redis import RedisArgs
from infra.components.store import GRACE_SECONDS, StatefulServiceArgs, build_service, build_stateful_set
from infra.custom_resources import to_data
from infra.labels import Component, selector
from infra.naming import Stack
from infra.settings.groups import PostgresStore, RedisStore
from infra.settings.replication import Archive, PostgresReplication, RedisReplication
from infra.settings.workloads import Limits, Requests, Resources, Volume
from services.kit.conventions import OPS_PORT

Plain = Callable[[object], Any]

VOLUME = Volume(size="5Gi", storage_class="fast")
RESOURCES = Resources(requests=Requests(memory="1Gi"), limits=Limits(memory="1Gi"))
STORE = RedisStore(volume=VOLUME, resources=RESOURCES)
DATABASE = PostgresStore(volume=VOLUME, resources=RESOURCES)


def stateful_set(plain: Plain, stack: Stack, name: str) -> Any:
    component: Component
    if name == "redis":
        of = RedisArgs(stack=stack, settings=STORE, image="image", exporter_image="exporter")
        containers, port, component = redis.build_containers(of, STORE), redis.PORT, "cache"
    else:
        of = PostgresArgs(stack=stack, settings=DATABASE, image="image", exporter_image="exporter")
        containers, port, component = postgres.build_containers(of, DATABASE), postgres.PORT, "database"
    args = StatefulServiceArgs(
        stack=stack,
        component=component,
        containers=containers,
        port_name=name,
        port=port,
        volume=STORE.volume,
    )
    return plain(build_stateful_set(name, args))


@pytest.mark.parametrize("name", ["redis", "postgres"])
def test_a_store_keeps_its_volume_whatever_happens_to_it(plain: Plain, stack: Stack, name: str) -> None:
    spec = stateful_set(plain, stack, name)
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"] == {"storage": "5Gi"}
    assert claim["spec"]["storageClassName"] == "fast"
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert spec["selector"]["matchLabels"] == selector(stack, name)
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == GRACE_SECONDS


@pytest.mark.parametrize("name", ["redis", "postgres"])
def test_every_mount_has_a_volume(plain: Plain, stack: Stack, name: str) -> None:
    spec = stateful_set(plain, stack, name)
    pod = spec["template"]["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    templates = {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
    mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert volumes.isdisjoint(templates)
    assert mounted == volumes | templates


@pytest.mark.parametrize("name", ["redis", "postgres"])
def test_no_password_is_an_argument_or_in_the_environment(plain: Plain, stack: Stack, name: str) -> None:
    for container in stateful_set(plain, stack, name)["template"]["spec"]["containers"]:
        assert all("valueFrom" not in variable for variable in container.get("env", []))
        named = [item["name"] for item in container.get("env", []) if "PASS" in item["name"]]
        assert all(item.endswith("_FILE") for item in named)


@pytest.mark.parametrize("name", ["redis", "postgres"])
def test_metrics_are_where_every_pods_metrics_are(plain: Plain, stack: Stack, name: str) -> None:
    store, exporter = stateful_set(plain, stack, name)["template"]["spec"]["containers"]
    assert (store["image"], exporter["image"]) == ("image", "exporter")
    assert exporter["ports"] == [{"name": "ops", "containerPort": OPS_PORT}]
    assert f"--web.listen-address=:{OPS_PORT}" in exporter["args"]


@pytest.mark.parametrize("name", ["redis", "postgres"])
def test_a_busy_store_is_not_restarted(plain: Plain, stack: Stack, name: str) -> None:
    store = stateful_set(plain, stack, name)["template"]["spec"]["containers"][0]
    assert "exec" in store["readinessProbe"]
    assert store["livenessProbe"]["tcpSocket"] == {"port": name}
    startup = store["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 300


def test_redis_loses_a_second_at_most_and_forgets_nothing_when_full() -> None:
    config = dict(line.split(" ", 1) for line in redis.build_config(STORE).splitlines())
    assert (config["appendonly"], config["appendfsync"]) == ("yes", "everysec")
    assert config["maxmemory-policy"] == "noeviction"
    assert config["maxmemory"] == "614mb"


def test_redis_knows_only_the_hash_of_its_password() -> None:
    assert hashlib.sha256(b"hunter2").hexdigest() in redis.access_list("hunter2")
    assert "hunter2" not in redis.access_list("hunter2")
    assert json.loads(redis.exporter_passwords("hunter2")) == {"redis://127.0.0.1:6379": "hunter2"}


REPLICATED = RedisStore(volume=VOLUME, resources=RESOURCES, replication=RedisReplication(servers=5))


def members(plain: Plain, stack: Stack) -> Any:
    of = RedisArgs(stack=stack, settings=REPLICATED, image="image", exporter_image="exporter")
    args = StatefulServiceArgs(
        stack=stack,
        component="cache",
        containers=redis.build_containers(of, REPLICATED),
        port_name="redis",
        port=redis.PORT,
        volume=VOLUME,
        members=5,
        more_ports=redis_members.PORTS,
    )
    return plain(build_stateful_set("redis", args)), plain(build_service("redis", args))


def test_members_of_redis_have_names_and_start_without_each_other(plain: Plain, stack: Stack) -> None:
    spec, service = members(plain, stack)
    assert (spec["replicas"], spec["podManagementPolicy"]) == (5, "Parallel")
    assert spec["serviceName"] == "redis-members"
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    assert {port["name"]: port["port"] for port in service["ports"]} == {"redis": 6379, "sentinel": 26379}
    assert redis_members.hosts(RedisReplication(servers=5))[4] == "redis-4.redis-members"


@pytest.mark.parametrize(
    ("production", "rule"),
    [
        (True, "requiredDuringSchedulingIgnoredDuringExecution"),
        (False, "preferredDuringSchedulingIgnoredDuringExecution"),
    ],
)
def test_no_two_members_share_a_node_in_production(plain: Plain, production: bool, rule: str) -> None:
    spec, _ = members(plain, Stack("some", production=production))
    affinity = spec["template"]["spec"]["affinity"]["podAntiAffinity"]
    assert set(affinity) == {rule}
    (zone,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert zone["topologyKey"] == "topology.kubernetes.io/zone"


def test_a_member_is_a_server_with_a_sentinel_that_know_all_others(plain: Plain, stack: Stack) -> None:
    spec, _ = members(plain, stack)
    server, sentinel, exporter = spec["template"]["spec"]["containers"]
    for container, script in ((server, "start-server"), (sentinel, "start-sentinel")):
        env = {item["name"]: item["value"] for item in container["env"]}
        assert env["REDIS_SERVERS"].split() == [f"redis-{n}.redis-members:6379" for n in range(5)]
        assert env["REDIS_SENTINELS"].split() == [f"redis-{n}.redis-members:26379" for n in range(5)]
        assert (env["REDIS_QUORUM"], env["REDIS_DOWN_MILLISECONDS"]) == ("3", "5000")
        assert container["args"] == ["sh", f"/etc/valkey/{script}"]
        mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {str(Path(env[name]).parent) for name in env if name.endswith("_FILE")} <= mounted
    assert server["readinessProbe"]["exec"]["command"] == ["sh", "/etc/valkey/ready"]
    assert server["startupProbe"]["exec"] != server["readinessProbe"]["exec"]
    assert sentinel["livenessProbe"]["tcpSocket"] == {"port": "sentinel"}
    assert exporter["name"] == "exporter"
    assert {"start-server", "start-sentinel", "ready", "group.sh", "valkey.conf"} == set(
        redis.build_files(REPLICATED)
    )


def test_a_primary_without_replicas_writes_nothing_that_would_be_lost() -> None:
    config = dict(line.split(" ", 1) for line in redis.build_config(REPLICATED).splitlines())
    assert (config["min-replicas-to-write"], config["min-replicas-max-lag"]) == ("1", "10")
    assert (config["appendonly"], config["maxmemory-policy"]) == ("yes", "noeviction")


def cluster(stack: Stack, **replication: Any) -> Any:
    args = ClusterArgs(
        stack=stack,
        settings=DATABASE,
        replication=PostgresReplication(**replication),
        component="database",
        user="mcp",
        database="mcp",
        secret="postgres-auth",
    )
    return to_data(postgres_cluster.build_cluster(args))


@pytest.mark.parametrize(("instances", "confirming"), [(2, 1), (3, 1), (5, 2), (7, 3)])
def test_what_postgres_confirms_is_on_another_node_and_survives_a_failover(
    stack: Stack, instances: int, confirming: int
) -> None:
    synchronous = cluster(stack, instances=instances)["postgresql"]["synchronous"]
    wanted = {"method": "any", "number": confirming, "dataDurability": "required", "failoverQuorum": True}
    assert synchronous == wanted


def test_writes_go_on_without_a_standby_where_the_settings_say_so(stack: Stack) -> None:
    synchronous = cluster(stack, durability="preferred")["postgresql"]["synchronous"]
    assert (synchronous["dataDurability"], synchronous["failoverQuorum"]) == ("preferred", False)


def test_instances_have_the_volume_and_memory_of_the_settings(stack: Stack) -> None:
    spec = cluster(stack)
    assert spec["storage"] == {"size": "5Gi", "storageClass": "fast", "resizeInUseVolumes": True}
    assert spec["resources"]["requests"]["memory"] == spec["resources"]["limits"]["memory"] == "1Gi"
    assert spec["postgresql"]["parameters"]["shared_buffers"] == "256MB"
    assert "imageName" not in spec
    assert "serviceAccountTemplate" not in spec


def test_the_owner_makes_roles_but_is_no_superuser(stack: Stack) -> None:
    spec = cluster(stack)
    assert spec["enableSuperuserAccess"] is False
    (role,) = spec["managed"]["roles"]
    assert (role["name"], role["createrole"], "superuser" in role) == ("mcp", True, False)
    assert role["passwordSecret"] == spec["bootstrap"]["initdb"]["secret"] == {"name": "postgres-auth"}


def test_the_log_is_archived_in_the_stacks_bucket_by_the_pods_own_role(stack: Stack) -> None:
    archive = Archive(cidrs=("10.1.0.0/24",), retention_days=14)
    (plugin,) = cluster(stack, archive=archive)["plugins"]
    assert plugin["isWALArchiver"] is True
    assert plugin["parameters"] == {"barmanObjectName": "postgres-archive"}
    store = to_data(postgres_cluster.build_archive(archive, "bucket"))
    assert store["configuration"]["destinationPath"] == "s3://bucket/postgres"
    assert store["configuration"]["s3Credentials"] == {"inheritFromIAMRole": True}
    assert store["retentionPolicy"] == "14d"
    backup = to_data(postgres_cluster.build_backup(archive))
    assert (backup["method"], backup["cluster"], backup["immediate"]) == (
        "plugin",
        {"name": "postgres"},
        True,
    )
