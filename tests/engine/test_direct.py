"""Deployments to a real API server, with real Helm releases and real pods."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from infra.cluster import silent
from infra.engine import direct, generated, lease
from infra.engine.diagnosis import NotReadyError
from infra.engine.health import health
from infra.engine.images_in_use import images_in_use
from infra.engine.plan import Action
from infra.engine.readiness import Watch, wait
from infra.errors import PlatformError
from infra.naming import logging_namespace
from tests.engine.stack import BROKEN, Stack, are_stuck, done, end, events, eventually, impatient

pytestmark = pytest.mark.cluster


def test_up_changes_what_differs_and_prunes_what_is_gone(stack: Stack) -> None:
    first = stack.up(extra=True)
    assert done(first) == {
        "Secret auth": Action.CREATE,
        "ConfigMap extra": Action.CREATE,
        "ConfigMap text": Action.CREATE,
        "Deployment app": Action.CREATE,
    }
    assert stack.latest.number == 1

    again = stack.up(extra=True)
    assert again.clean
    assert stack.latest.number == 1, "a release without a change is not repeated"

    stack.kubectl.must("create", "configmap", "foreign", "--namespace", stack.target.namespace)
    changed = stack.up(text="two")
    assert done(changed) == {"ConfigMap text": Action.CHANGE, "ConfigMap extra": Action.DELETE}
    (step,) = [item for item in changed.steps if item.action == Action.CHANGE]
    assert [str(change) for change in step.changes] == ["data.text: one → two"]
    assert {"foreign", "text"} <= set(stack.names("configmaps"))
    assert "extra" not in stack.names("configmaps")


def test_a_preview_changes_nothing_and_shows_fields(stack: Stack) -> None:
    new = stack.preview()
    assert set(done(new).values()) == {Action.CREATE}
    assert stack.kubectl.get("namespace", "", stack.target.namespace) is None

    stack.up(replicas=1)
    plan = stack.preview(replicas=2, image="localhost/mcp-platform/pause:1")
    assert done(plan) == {"Deployment app": Action.CHANGE}
    assert json.loads(json.dumps(plan.as_data()))["summary"]["change"] == 1
    assert stack.latest.number == 1


def test_generated_values_are_made_once_and_are_in_no_release(stack: Stack) -> None:
    stack.up()
    password = password_of(stack)
    assert len(password) == 20
    stack.up(text="two")
    assert password_of(stack) == password
    releases = [
        item
        for item in stack.kubectl.list("secrets", stack.target.namespace)
        if item["type"] == "helm.sh/release.v1"
    ]
    assert len(releases) == 2
    for revision in (1, 2):
        assert password not in json.dumps(stack.helm.objects(revision))
        assert all(body["kind"] != "Secret" for body in stack.helm.objects(revision))


def test_lost_generated_values_are_an_error_while_data_need_them(stack: Stack) -> None:
    stack.up(store=True)
    stack.kubectl.must("delete", "secret", generated.NAME, "--namespace", stack.target.namespace)
    with pytest.raises(PlatformError, match=r"is gone, but the volumes .* are there: data-store-0"):
        stack.up(store=True)


def test_a_resource_that_moves_in_the_program_keeps_its_value(stack: Stack) -> None:
    stack.up()
    password = password_of(stack)
    program = stack.project / "__main__.py"
    moved = 'group = pulumi.ComponentResource("mcp:test:Group", "group")\npassword = random.RandomPassword('
    text = program.read_text().replace("password = random.RandomPassword(", moved)
    program.write_text(text.replace("length=20)", "length=20, opts=pulumi.ResourceOptions(parent=group))"))
    stack.up()
    assert password_of(stack) == password


def test_a_pod_that_never_becomes_ready_is_told_with_its_events_and_up_goes_on(stack: Stack) -> None:
    stack.up(store=True)
    with (
        impatient(lambda: are_stuck(stack, "app", "store")),
        pytest.raises(NotReadyError, match=r"not ready: app-.*, store-0") as caught,
    ):
        stack.up(store=True, image=BROKEN)
    told = "\n".join(caught.value.details)
    assert "pod store-0: ErrImageNeverPull in container main" in told
    assert "event: ErrImageNeverPull" in told
    assert stack.latest.status == "failed"
    watch = Watch(stack.kubectl, stack.target.namespaces, silent, patience=0)
    assert watch(), "a pod has just been found stuck"
    assert not wait(watch, timeout=120), "waiting for a stuck pod is given up"

    stack.up(store=True)
    assert stack.latest.status == "deployed"
    assert any("replacing store-0, which is stuck in an older version" in line for line in stack.lines)


def test_a_workload_without_pods_is_told_with_the_reason(stack: Stack) -> None:
    stack.up()
    label = f"namespace/{stack.target.namespace}"
    stack.kubectl.must("label", label, "pod-security.kubernetes.io/enforce=restricted")
    refused = 'violates PodSecurity "restricted'
    with (
        impatient(lambda: any(refused in line for line in events(stack, "FailedCreate"))),
        pytest.raises(NotReadyError) as caught,
    ):
        stack.up(claim=True)
    told = "\n".join(caught.value.details)
    assert "Deployment user: 0 of 1 ready" in told
    assert refused in told


def test_what_the_server_refuses_is_told_before_anything_is_released(stack: Stack) -> None:
    stack.up(store=True)
    with pytest.raises(PlatformError, match=r"the API server refuses it: .*StatefulSet.*store") as caught:
        stack.up(store=True, service="other", text="two")
    assert caught.value.hint == "nothing was released"
    assert config_text(stack) == "one"
    assert stack.preview(store=True, service="other").refusals


def test_objects_of_others_are_never_taken_over(stack: Stack) -> None:
    stack.kubectl.must("create", "namespace", stack.target.namespace)
    stack.kubectl.must(
        "create", "configmap", "text", "--from-literal=text=mine", "--namespace", stack.target.namespace
    )
    with pytest.raises(PlatformError, match=r'ConfigMap "text" .* exists and cannot be imported'):
        stack.up()
    assert config_text(stack) == "mine"
    assert "app" not in stack.names("deployments")


@pytest.mark.parametrize(
    ("kind", "config"), [("StatefulSet store", "store"), ("PersistentVolumeClaim claim", "claim")]
)
def test_a_volume_is_not_deleted_without_permission(stack: Stack, kind: str, config: str) -> None:
    stack.up(**{config: True})
    claims = stack.names("persistentvolumeclaims")
    with pytest.raises(PlatformError, match=f"{kind} left the program.*nothing was released") as caught:
        stack.up(text="two")
    assert "--allow-data-loss" in caught.value.hint
    assert config_text(stack) == "one"

    stack.up(text="two", allow_data_loss=True)
    assert claims
    eventually(lambda: stack.names("persistentvolumeclaims") == [])
    assert "store" not in stack.names("statefulsets")
    assert "user" not in stack.names("deployments")


def test_a_secret_that_left_the_program_is_only_deleted_with_permission(stack: Stack) -> None:
    stack.up(token=True)
    kept = stack.up()
    assert done(kept) == {"Secret token": Action.KEEP}
    assert kept.clean
    assert "token" in stack.names("secrets")
    stack.up(allow_data_loss=True)
    assert "token" not in stack.names("secrets")
    assert {"auth", generated.NAME} <= set(stack.names("secrets"))


def test_down_keeps_data_and_the_next_up_finds_it(stack: Stack) -> None:
    stack.up(store=True, claim=True)
    password = password_of(stack)
    volumes = volumes_of(stack)
    stack.down()
    eventually(lambda: stack.names("pods") == [])
    assert stack.helm.history() == []
    assert volumes_of(stack) == volumes

    stack.up(store=True, claim=True)
    assert volumes_of(stack) == volumes
    assert password_of(stack) == password

    stack.down(allow_data_loss=True)
    assert stack.kubectl.get("namespace", "", stack.target.namespace) is None


def test_a_namespace_beside_the_stacks_belongs_to_it(stack: Stack) -> None:
    beside = logging_namespace(stack.target.stack)
    watched = replace(stack, target=replace(stack.target, others=(beside,)))

    def there() -> bool:
        found = stack.kubectl.get("namespace", "", beside)
        return found is not None and found["status"]["phase"] == "Active"

    watched.up(logs=True)
    found = health(direct.open_release(watched.target, silent))
    assert found.ready
    assert {(it.kind, it.name, it.ready) for it in found.services} == {
        ("Deployment", "app", 1),
        ("DaemonSet", "reader", 1),
    }
    with (
        impatient(lambda: are_stuck(stack, "app", "reader", others=[beside])),
        pytest.raises(NotReadyError, match=r"not ready: app-.*, reader-"),
    ):
        watched.up(logs=True, image=BROKEN)

    kept = stack.up()
    assert done(kept)[f"Namespace {beside}"] == Action.KEEP
    assert "reader" not in [it["metadata"]["name"] for it in stack.kubectl.list("daemonsets", beside)]
    stack.up(allow_data_loss=True)
    assert not there()

    stack.up(logs=True)
    stack.down()
    assert there()
    stack.down(allow_data_loss=True)
    assert not there()


@pytest.mark.usefixtures("database_kind")
def test_a_database_counts_as_a_service_and_outlives_a_down(stack: Stack) -> None:
    """Its operator would delete the volumes with it; here is none, so it never becomes ready."""
    stack.up()
    with pytest.raises(NotReadyError, match="not ready: Cluster postgres") as caught:
        stack.up(database=True, guard=True, timeout=3)
    assert "Cluster postgres: 0 of 2 ready" in caught.value.details
    found = health(direct.open_release(stack.target, silent))
    assert [(it.name, it.ready, it.wanted) for it in found.services if it.kind == "Cluster"] == [
        ("postgres", 0, 2)
    ]
    assert not found.ready

    stack.down()
    assert stack.helm.history() == []
    assert stack.get("clusters.postgresql.cnpg.io", "postgres") is not None
    assert stack.names("networkpolicies") == ["guard"]  # its pods go on, and must not be open to all

    with pytest.raises(NotReadyError, match="not ready: Cluster postgres"):
        stack.up(database=True, guard=True, timeout=3)
    assert stack.names("networkpolicies") == ["flow", "guard"]
    stack.up(guard=True, allow_data_loss=True)
    stack.down()
    assert stack.names("networkpolicies") == []  # nothing goes on that they would guard
    stack.down(allow_data_loss=True)
    assert stack.kubectl.get("namespace", "", stack.target.namespace) is None


def test_down_of_nothing_is_fine(stack: Stack) -> None:
    stack.down()
    stack.up()
    stack.down()
    stack.down()


def test_rollback_restores_an_earlier_revision(stack: Stack) -> None:
    with pytest.raises(PlatformError, match="is not deployed"):
        stack.rollback()
    stack.up(extra=True)
    stack.up(text="two")
    assert stack.rollback() == 1
    assert config_text(stack) == "one"
    assert "extra" in stack.names("configmaps")
    with pytest.raises(PlatformError, match="has no revision 99") as caught:
        stack.rollback(99)
    assert caught.value.hint == "revisions: 1, 2, 3"


@pytest.mark.parametrize("first", [True, False], ids=["first release", "later release"])
def test_a_release_that_was_killed_is_undone_and_up_goes_on(stack: Stack, first: bool) -> None:
    if not first:
        stack.up(store=True)
    process = stack.start(store=True, image=BROKEN)
    eventually(lambda: under_way(stack, process) and "data-store-0" in volumes_of(stack))
    end(process, signal.SIGKILL)
    volumes = volumes_of(stack)

    stack.up(store=True)
    assert stack.latest.status == "deployed"
    assert any("was interrupted (pending-" in line for line in stack.lines)
    assert volumes_of(stack) == volumes


def test_ctrl_c_leaves_a_state_that_up_and_down_handle(stack: Stack) -> None:
    process = stack.start(image=BROKEN)
    eventually(lambda: under_way(stack, process))
    assert "KeyboardInterrupt" in end(process, signal.SIGINT)
    assert stack.latest.status == "failed"
    assert stack.get("lease", lease.NAME) is None
    stack.up()
    assert stack.latest.status == "deployed"
    stack.down()


def test_two_deployments_do_not_interleave(stack: Stack) -> None:
    stack.up()
    process = stack.start(image=BROKEN)
    eventually(lambda: under_way(stack, process))
    with pytest.raises(PlatformError, match="another deployment of this stack is under way: mcpctl on"):
        stack.up()
    end(process, signal.SIGINT)


def test_the_lease_of_a_dead_machine_runs_out(stack: Stack) -> None:
    stack.up()
    namespace = stack.target.namespace
    with lease.held(stack.kubectl, namespace):
        patch: dict[str, Any] = {"spec": {"holderIdentity": "mcpctl on elsewhere (process 1)"}}
        stack.kubectl.must(
            "patch",
            "lease",
            lease.NAME,
            "--namespace",
            namespace,
            "--type=merge",
            f"--patch={json.dumps(patch)}",
        )
    assert stack.get("lease", lease.NAME), "only its holder releases a lease"
    with pytest.raises(PlatformError, match="under way: mcpctl on elsewhere"):
        stack.up()
    patch["spec"]["renewTime"] = "2020-01-01T00:00:00.000000Z"
    stack.kubectl.must(
        "patch", "lease", lease.NAME, "--namespace", namespace, "--type=merge", f"--patch={json.dumps(patch)}"
    )
    stack.up()
    assert stack.get("lease", lease.NAME) is None


def test_images_of_a_deployment_under_way_count_as_used(stack: Stack) -> None:
    """They are on the nodes before anything runs them, and other stacks remove what nothing does."""
    stack.up()
    image = "localhost/mcp-platform/gateway:0123"
    with lease.held(stack.kubectl, stack.target.namespace, [image]):
        assert image in images_in_use(stack.kubectl, stack.helm)
    eventually(lambda: image not in images_in_use(stack.kubectl, stack.helm))


def test_a_deleted_object_comes_back(stack: Stack) -> None:
    stack.up()
    stack.kubectl.must("delete", "configmap", "text", "--namespace", stack.target.namespace)
    assert done(stack.up()) == {"ConfigMap text": Action.CREATE}
    assert config_text(stack) == "one"


def test_a_program_for_another_cluster_is_refused(stack: Stack) -> None:
    with pytest.raises(PlatformError, match=r"deploys to \['elsewhere'\], not to"):
        stack.up(context="elsewhere")


def under_way(stack: Stack, process: subprocess.Popen[str]) -> bool:
    """Whether an `up` has come as far as to wait for its pods."""
    assert process.poll() is None, process.communicate()[1]
    history = stack.helm.history()
    return bool(history) and history[-1].status.startswith("pending-") and bool(stack.names("pods"))


def password_of(stack: Stack) -> str:
    secret = stack.get("secret", "auth")
    assert secret
    return base64.b64decode(secret["data"]["password"]).decode()


def config_text(stack: Stack) -> str:
    body = stack.get("configmap", "text")
    assert body
    return body["data"]["text"]


def volumes_of(stack: Stack) -> dict[str, str]:
    """The identity of each claim: another one of its name would have another."""
    claims = stack.kubectl.list("persistentvolumeclaims", stack.target.namespace)
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in claims}
