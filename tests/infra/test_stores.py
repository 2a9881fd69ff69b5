from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from infra.components import postgres, redis
from infra.components.postgres import PostgresArgs
from infra.components.redis import RedisArgs
from infra.components.store import GRACE_SECONDS, StatefulServiceArgs, build_stateful_set
from infra.labels import Component, selector
from infra.naming import Stack
from infra.settings.groups import Store
from infra.settings.workloads import Limits, Requests, Resources, Volume
from services.kit.conventions import OPS_PORT

Plain = Callable[[object], Any]

STORE = Store(
    volume=Volume(size="5Gi", storage_class="fast"),
    resources=Resources(requests=Requests(memory="1Gi"), limits=Limits(memory="1Gi")),
)


def stateful_set(plain: Plain, stack: Stack, name: str) -> Any:
    component: Component
    if name == "redis":
        of = RedisArgs(stack=stack, settings=STORE, image="image", exporter_image="exporter")
        containers, port, component = redis.build_containers(of, STORE), redis.PORT, "cache"
    else:
        of = PostgresArgs(stack=stack, settings=STORE, image="image", exporter_image="exporter")
        containers, port, component = postgres.build_containers(of, STORE), postgres.PORT, "database"
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
