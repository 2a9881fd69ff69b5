"""The whole platform, the way a user meets it. The tests are one story and run in their order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import TextContent

from cli.approving import asking
from cli.gateway_client import connect, list_tools
from infra.cluster.netpol.model import pod_of
from tests.end_to_end.matrix import measured
from tests.end_to_end.readme import mcpctl_commands
from tests.end_to_end.running import Platform
from tests.infra.flows import Place, flows

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

T = TypeVar("T")

DISCOVERY_SECONDS = 60
RECOVERY_SECONDS = 180
LEEWAY_SECONDS = 30
"""How far apart clocks may be, which the gateway forgives."""

ECHO = {
    "kind": "module",
    "module": "echo",
    "resources": {"requests": {"cpu": "25m", "memory": "96Mi"}, "limits": {"cpu": "500m"}},
}


def eventually(attempt: Callable[[], T], seconds: float) -> T:
    """Try until it succeeds; the last failure counts."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except (AssertionError, OSError, httpx2.HTTPError, MCPError, ExceptionGroup):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def tool_names(platform: Platform, token: str, mode: str = "auto") -> list[str]:
    async def ask() -> list[str]:
        async with connect(platform.url, token, mode=mode) as client:
            return [tool.name for tool in await list_tools(client)]

    return asyncio.run(ask())


def call_text(
    platform: Platform, token: str, name: str, arguments: dict[str, object], mode: str = "auto"
) -> str:
    async def ask() -> str:
        async with connect(platform.url, token, mode=mode, ask=asking(approve=True)) as client:
            result = await client.call_tool(name, arguments)
            assert not result.is_error, result
            return "".join(block.text for block in result.content if isinstance(block, TextContent))

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def short_lived(platform: Platform) -> str:
    """A token of one second, which the gateway takes for some time longer."""
    token = platform.token("--ttl", "1")
    assert post(platform, token).status_code != httpx2.codes.UNAUTHORIZED
    return token


def post(platform: Platform, token: str) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.post(f"{platform.url}/mcp", json={}, headers=headers, trust_env=False, timeout=30)


@pytest.mark.usefixtures("short_lived")  # it expires while the next tests run
def test_up_leaves_every_workload_ready(platform: Platform) -> None:
    kubectl = platform.kubectl
    workloads = kubectl.list("deployments,statefulsets", platform.namespace)
    ready = {item["metadata"]["name"]: item["status"].get("readyReplicas", 0) for item in workloads}
    assert ready == {"gateway": 1, "filesystem": 1, "redis": 1, "postgres": 1}


def test_every_flow_that_is_declared_works_and_every_other_is_refused(platform: Platform) -> None:
    kubectl = platform.kubectl
    pods = [
        Place(
            pod.labels["app.kubernetes.io/name"], pod.address, sorted(it for _, it in pod.ports.values()), pod
        )
        for item in kubectl.list("pods", platform.namespace)
        if (pod := pod_of(item)) is not None
    ]
    node_ip = str(platform.cluster.spec.node_ip)
    around = [
        # 10250 is the kubelet, 9090 a port that nothing listens on.
        Place("node", node_ip, [53, 6443, 9090, 10250]),
        Place("internet", "203.0.113.9", [443]),
        Place("metadata", "169.254.169.254", [80]),
    ]
    policies = kubectl.list("networkpolicies", platform.namespace)
    declared = flows(policies, [*pods, *around], {platform.namespace: {}})
    from_pods = {flow for flow in declared if flow.partition("→")[0] in {pod.name for pod in pods}}
    assert from_pods == {
        "gateway→filesystem:8080",
        "gateway→redis:6379",
        "gateway→postgres:5432",
        "gateway→node:6443",
        "gateway→node:53",
        "filesystem→node:53",
    }

    def enforced() -> None:
        assert measured(platform.cluster, pods, [*pods, *around]) == from_pods

    eventually(enforced, RECOVERY_SECONDS)  # policies are enforced a moment after they are there


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_official_client_calls_a_tool_in_both_revisions(platform: Platform, mode: str) -> None:
    token = platform.token()
    name = f"{mode}.txt"
    call_text(
        platform,
        token,
        "filesystem__write_file",
        {"path": name, "content": f"from {mode}", "mode": "create"},
        mode,
    )
    assert f"from {mode}" in call_text(platform, token, "filesystem__read_file", {"path": name}, mode)


def test_mcpctl_lists_and_calls_tools(platform: Platform) -> None:
    listed = {tool["name"] for tool in platform.checkout.must("tools", "--json").json()}
    assert {"filesystem__read_file", "filesystem__write_file"} <= listed
    answer = platform.checkout.must("call", "filesystem__read_file", "path=auto.txt", "--json").json()
    assert "from auto" in str(answer["content"])


def test_mcpctl_calls_a_destructive_tool_only_with_approval(platform: Platform) -> None:
    words = ("call", "filesystem__write_file", "path=approved.txt", "content=x", "mode=create")
    refused = platform.checkout.mcpctl(*words)
    assert refused.code == 2
    assert "--approve" in refused.err
    platform.checkout.must(*words, "--approve")


def test_a_tool_error_is_exit_code_1(platform: Platform) -> None:
    result = platform.checkout.mcpctl("call", "filesystem__read_file", "path=no-such-file.txt")
    assert result.code == 1


@pytest.mark.parametrize("path", ["../etc/passwd", "/etc/passwd", "/data-evil/x", "/data/../etc/passwd"])
def test_a_path_outside_the_allowed_folders_is_a_tool_error(platform: Platform, path: str) -> None:
    async def ask() -> str:
        async with connect(platform.url, platform.token()) as client:
            result = await client.call_tool("filesystem__read_file", {"path": path})
            assert result.is_error
            return str(result.content)

    assert "root:" not in asyncio.run(ask())


def test_no_token_is_a_401_that_says_where_to_get_one(platform: Platform) -> None:
    response = httpx2.post(f"{platform.url}/mcp", json={}, trust_env=False)
    assert response.status_code == 401
    assert "resource_metadata=" in response.headers["www-authenticate"]


def test_a_token_that_may_only_read_can_not_call(platform: Platform) -> None:
    token = platform.token("--scope", "mcp:read")
    assert tool_names(platform, token)
    with pytest.raises(ExceptionGroup):
        call_text(platform, token, "filesystem__read_file", {"path": "auto.txt"})


@pytest.mark.parametrize("words", mcpctl_commands(), ids=" ".join)
def test_the_commands_of_the_readme_work(platform: Platform, words: list[str]) -> None:
    platform.checkout.must(*words)


def test_an_expired_token_is_a_401(platform: Platform, short_lived: str) -> None:
    def refused() -> None:
        assert post(platform, short_lived).status_code == httpx2.codes.UNAUTHORIZED

    eventually(refused, 2 * LEEWAY_SECONDS)
    assert "invalid_token" in post(platform, short_lived).headers["www-authenticate"]


def test_a_second_up_changes_nothing(platform: Platform) -> None:
    before = platform.kubectl.list("deployments,statefulsets,services,configmaps", platform.namespace)
    platform.checkout.must("up", "--yes")
    after = platform.kubectl.list("deployments,statefulsets,services,configmaps", platform.namespace)
    versions = [
        {
            item["metadata"]["uid"]: item["metadata"]["generation"]
            for item in listed
            if "generation" in item["metadata"]
        }
        for listed in (before, after)
    ]
    assert versions[0] == versions[1]
    plan = platform.checkout.must("preview", "--json").json()
    assert {change["action"] for change in plan["steps"]} <= {"unchanged"}


def test_an_added_server_shows_its_tools_without_a_restart_of_the_gateway(platform: Platform) -> None:
    gateways = platform.pods("gateway")
    platform.checkout.edit(lambda config: config["servers"].update(echo=ECHO))
    platform.checkout.must("up", "--yes")
    token = platform.token()

    def shown() -> None:
        assert "echo__add" in tool_names(platform, token)

    eventually(shown, DISCOVERY_SECONDS)
    assert platform.pods("gateway") == gateways
    assert "5" in call_text(platform, token, "echo__add", {"a": 2, "b": 3})


def test_a_scaled_server_is_found_by_the_gateway(platform: Platform) -> None:
    platform.checkout.must("scale", "echo", "2")
    assert len(platform.pods("echo")) == 2
    platform.checkout.must("scale", "echo", "1")


def test_killed_pods_come_back_and_calls_succeed_again(platform: Platform) -> None:
    token = platform.token()
    for service in ("filesystem", "gateway"):
        (pod,) = platform.pods(service)
        platform.kubectl.must(
            "delete", "pod", pod, "--namespace", platform.namespace, "--grace-period=0", "--force"
        )

        def read() -> str:
            return call_text(platform, token, "filesystem__read_file", {"path": "auto.txt"})

        assert "from auto" in eventually(read, RECOVERY_SECONDS)


def test_a_changed_setting_changes_only_that_object(platform: Platform) -> None:
    def more_memory(config: dict[str, dict[str, dict[str, object]]]) -> None:
        config["servers"]["echo"]["resources"] = {
            "requests": {"cpu": "25m", "memory": "128Mi"},
            "limits": {"cpu": "500m"},
        }

    platform.checkout.edit(more_memory)
    plan = platform.checkout.must("preview", "--json").json()
    changed = [change for change in plan["steps"] if change["action"] != "unchanged"]
    assert [(change["action"], change["kind"], change["name"]) for change in changed] == [
        ("change", "Deployment", "echo")
    ]
    generations = {
        item["metadata"]["name"]: item["metadata"]["generation"]
        for item in platform.kubectl.list("deployments", platform.namespace)
    }
    platform.checkout.must("up", "--yes")
    for item in platform.kubectl.list("deployments", platform.namespace):
        name, generation = item["metadata"]["name"], item["metadata"]["generation"]
        assert (generation == generations[name]) is (name != "echo"), name


def test_a_mistyped_key_is_one_line_and_changes_nothing(platform: Platform) -> None:
    file = platform.checkout.root / "Pulumi.dev.yaml"
    good = file.read_text()
    platform.checkout.edit(lambda config: config["gateway"].update(replicsa=2))
    try:
        result = platform.checkout.mcpctl("up", "--yes")
    finally:
        file.write_text(good)
    assert result.code == 2
    (line,) = [line for line in result.err.splitlines() if "replicsa" in line]
    assert "dev" in line
    assert "gateway" in line
    assert "replicas" in line


def test_a_removed_server_is_pruned_and_its_tools_go(platform: Platform) -> None:
    platform.checkout.edit(lambda config: config["servers"].pop("echo"))
    platform.checkout.must("up", "--yes")
    names = {
        item["metadata"]["name"] for item in platform.kubectl.list("deployments,services", platform.namespace)
    }
    assert "echo" not in names
    token = platform.token()

    def gone() -> None:
        assert not [name for name in tool_names(platform, token) if name.startswith("echo__")]

    eventually(gone, DISCOVERY_SECONDS)


def test_rollback_brings_the_earlier_release_back(platform: Platform) -> None:
    platform.checkout.must("rollback")
    names = {item["metadata"]["name"] for item in platform.kubectl.list("deployments", platform.namespace)}
    assert "echo" in names
    platform.checkout.must("up", "--yes")


def test_status_verify_history_and_logs_tell_what_is_there(platform: Platform) -> None:
    for command in (["status"], ["verify"], ["history"]):
        assert platform.checkout.must(*command).out
    assert "gateway" in platform.checkout.must("logs", "gateway").out


def test_down_keeps_the_data_and_up_finds_it_again(platform: Platform) -> None:
    platform.checkout.must("down", "--yes")
    assert platform.kubectl.list("deployments,statefulsets", platform.namespace) == []
    assert platform.kubectl.list("persistentvolumeclaims", platform.namespace)
    platform.checkout.must("up", "--yes")
    token = platform.token()
    assert "from auto" in call_text(platform, token, "filesystem__read_file", {"path": "auto.txt"})


def test_down_with_allow_data_loss_leaves_nothing(platform: Platform) -> None:
    platform.checkout.must("down", "--yes", "--allow-data-loss")
    namespaces = platform.kubectl.must("get", "namespaces", "--output", "name").split()
    assert f"namespace/{platform.namespace}" not in namespaces
