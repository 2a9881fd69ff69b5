"""The embedded Kubernetes as it runs: a cluster of the test's own, with a pod, a volume and a Service."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from infra.cluster import Cluster, launch, preflight, silent
from infra.cluster.node import MOUNT_SOURCE, SHOWN_SETTINGS
from infra.cluster.processes import Identity, children
from infra.errors import PlatformError
from tests.cluster.live import Kubectl, claim, eventually, import_probe, namespace, pod, service

pytestmark = pytest.mark.cluster

SPACE = "live"


def machine() -> dict[str, object]:
    """What of the machine a cluster might change: settings, interfaces, routes, firewall."""

    def output(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return {
        "settings": {name: (Path("/proc/sys") / name).read_text() for name in SHOWN_SETTINGS},
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "interfaces": sorted(Path("/sys/class/net").iterdir()),
        "routes": output("ip", "route", "show", "table", "all"),
        "firewall": output("nft", "list", "ruleset"),
    }


def tree(pid: int) -> list[int]:
    """A process and all of its descendants."""
    return [pid, *(below for child in children(pid) for below in tree(child))]


def leftovers(cluster: Cluster) -> list[str]:
    """Processes, mounts and cgroups of a cluster."""
    groups = (place for place, _, _ in os.walk("/sys/fs/cgroup"))  # in which those of others come and go
    found = [place for place in groups if Path(place).name == cluster.layout.cgroup]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found.extend(line for line in mounts if str(cluster.state) in line or line.startswith(f"{MOUNT_SOURCE} "))
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(cluster.state) in command:
            found.append(command.replace("\0", " "))
    return found


@pytest.fixture(scope="module")
def before() -> dict[str, object]:
    preflight.ensure_programs(silent)  # what looks at the machine may be missing from a bare one
    return machine()


@pytest.fixture(scope="module")
def clusters(before: dict[str, object]) -> Iterator[Path]:
    """A directory for the test's clusters; short, as sockets lie in it."""
    assert before
    directory = Path(mkdtemp(prefix="mcp-"))
    yield directory
    for state in directory.iterdir():
        Cluster.named(state.name, state_dir=directory).down(silent, purge=True, keep_tools=True)
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def cluster(clusters: Path) -> Cluster:
    one = Cluster.named("live", state_dir=clusters)
    one.up(silent, fsync=False, publish=False)
    import_probe(one)
    kubectl = Kubectl(one)
    kubectl.apply(namespace(SPACE))
    account = ("get", "serviceaccount", "default", "-n", SPACE)
    eventually(lambda: kubectl.run(*account).returncode == 0, "the account that a pod needs")
    kubectl.apply(
        claim("data", SPACE),
        pod("web", SPACE, "data"),
        service("web", SPACE),
        claim("idle", SPACE),
    )
    kubectl("wait", "-n", SPACE, "--for=condition=Ready", "pod/web", "--timeout=180s")
    return one


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Kubectl:
    return Kubectl(cluster)


def in_pod(kubectl: Kubectl, *command: str) -> str:
    return kubectl("exec", "-n", SPACE, "web", "--", "/probe", *command)


def fetch(url: str) -> str | None:
    """What is at a URL, or None where nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - of our own cluster
            return response.read().decode()
    except OSError:
        return None


def test_everything_is_ready(cluster: Cluster, kubectl: Kubectl) -> None:
    status = cluster.status()
    assert status.ready
    assert all(one.pid and one.log.exists() for one in status.components)
    node = kubectl.get("node", "mcp-live")
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.36.3"


def test_a_volume_is_made_when_a_pod_needs_it_and_belongs_to_the_pods_group(
    cluster: Cluster, kubectl: Kubectl
) -> None:
    bound, idle = kubectl.get("pvc", "-n", SPACE, "data"), kubectl.get("pvc", "-n", SPACE, "idle")
    assert bound["spec"]["storageClassName"] == "local-path"
    assert (bound["status"]["phase"], idle["status"]["phase"]) == ("Bound", "Pending")
    directory = cluster.layout.volumes / bound["spec"]["volumeName"]
    assert directory.stat().st_gid == 10001
    assert (directory / "starts").read_text() == "x"


def test_names_of_services_resolve_and_no_others(kubectl: Kubectl) -> None:
    address = kubectl.get("svc", "-n", SPACE, "web")["spec"]["clusterIP"]
    for name in ("web.live", "web.live.svc.cluster.local"):
        # CoreDNS follows the Services; nothing tells when it has.
        resolve = ("exec", "-n", SPACE, "web", "--", "/probe", "resolve", name)
        eventually(lambda ask=resolve: bool(kubectl.run(*ask).stdout), f"{name} is known")
        assert in_pod(kubectl, "resolve", name) == address
    done = kubectl.run("exec", "-n", SPACE, "web", "--", "/probe", "resolve", "example.com")
    assert "no such host" in done.stderr


def test_a_service_is_reached_from_pods_and_from_the_host(cluster: Cluster, kubectl: Kubectl) -> None:
    # kube-proxy follows the endpoints; nothing tells when it has.
    url = "http://web.live.svc.cluster.local/starts"
    probe = ("exec", "-n", SPACE, "web", "--", "/probe", "get", url)
    eventually(lambda: kubectl.run(*probe).stdout.strip() == "x", "the Service in a pod")
    eventually(lambda: fetch(f"{cluster.gateway_url}/starts") == "x", "the Service on the host")


def test_logs(kubectl: Kubectl) -> None:
    # containerd writes them down, which the pod's readiness doesn't wait for.
    eventually(lambda: bool(kubectl("logs", "-n", SPACE, "web")), "a log of the pod")
    assert kubectl("logs", "-n", SPACE, "web") == "serving /data"


def test_pod_security_refuses_what_it_should(kubectl: Kubectl) -> None:
    bad = pod("bad", SPACE, "data")
    del bad["spec"]["securityContext"]["runAsNonRoot"]
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        kubectl.apply(bad)
    everywhere = pod("bad", "default", "data")
    everywhere["spec"]["hostNetwork"] = True
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        kubectl.apply(everywhere)


def test_nobody_is_let_in_without_a_certificate(cluster: Cluster) -> None:
    context = ssl.create_default_context(cafile=cluster.layout.certificates / "ca.crt")
    for path in ("/readyz", "/api/v1/nodes", "/version"):
        with pytest.raises(urllib.error.HTTPError, match="401") as caught:
            urllib.request.urlopen(cluster.spec.api_url + path, timeout=60, context=context)  # noqa: S310 - as above
        caught.value.close()


def test_components_may_do_no_more_than_they_need(kubectl: Kubectl) -> None:
    def can(user: str, *what: str) -> bool:
        return kubectl.run("auth", "can-i", *what, "--as", user, "-A").stdout.strip() == "yes"

    assert can("mcp-platform:provisioner", "create", "persistentvolumes")
    for user in ("provisioner", "coredns", "metrics-server"):
        assert not can(f"mcp-platform:{user}", "get", "secrets")
        assert not can(f"mcp-platform:{user}", "create", "pods")


def test_the_machine_is_not_changed_by_a_running_cluster(cluster: Cluster, before: dict[str, object]) -> None:
    assert cluster.status().running
    assert machine() == before


def test_the_node_can_not_reach_the_hosts_network(cluster: Cluster) -> None:
    inside = ["nsenter", "--target", str(cluster.status().pid), "--net"]
    routes = subprocess.run([*inside, "ip", "route"], capture_output=True, text=True, check=True).stdout
    assert "default" not in routes


def test_a_removed_claim_takes_its_data_along(cluster: Cluster, kubectl: Kubectl) -> None:
    kubectl.apply(claim("gone", SPACE), pod("user", SPACE, "gone"))
    kubectl("wait", "-n", SPACE, "--for=condition=Ready", "pod/user", "--timeout=180s")
    directory = cluster.layout.volumes / kubectl.get("pvc", "-n", SPACE, "gone")["spec"]["volumeName"]
    assert (directory / "starts").exists()
    kubectl("delete", "-n", SPACE, "pod/user", "pvc/gone")
    eventually(lambda: not directory.exists(), "the volume's directory is removed")


@pytest.mark.parametrize(
    "component", ["etcd", "containerd", "kube-apiserver", "kubelet", "forwarder", "coredns"]
)
def test_a_killed_component_comes_back(cluster: Cluster, kubectl: Kubectl, component: str) -> None:
    def current() -> tuple[int | None, int, str]:
        return next(
            (one.pid, one.restarts, one.state) for one in cluster.status().components if one.name == component
        )

    pid, restarts, _ = current()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: current()[1] == restarts + 1 and cluster.status().ready, f"{component} is back")
    eventually(lambda: kubectl.run("get", "ns").returncode == 0, "the API answers")
    # Its Service may be away for a moment; a pod that was started again would answer "xx" for ever.
    eventually(lambda: fetch(f"{cluster.gateway_url}/starts") == "x", "the pod went on")


def test_up_of_a_running_cluster_changes_nothing_and_waits_for_nothing(cluster: Cluster) -> None:
    cluster.up(silent, publish=False)
    pids = [one.pid for one in cluster.status().components]
    told: list[str] = []
    cluster.up(told.append, publish=False)
    assert told == []
    assert [one.pid for one in cluster.status().components] == pids


def test_ports_of_a_running_cluster_can_not_be_moved(cluster: Cluster) -> None:
    with pytest.raises(PlatformError, match="runs with its gateway on port"):
        cluster.up(silent, gateway_port=cluster.spec.gateway_port + 1000, publish=False)


def test_two_clusters_run_side_by_side(cluster: Cluster, clusters: Path) -> None:
    other = Cluster.named("second", state_dir=clusters)
    other.up(silent, fsync=False, publish=False)
    try:
        assert other.status().ready
        assert cluster.status().ready
        assert SPACE not in Kubectl(other)("get", "namespaces")
        assert other.spec.index != cluster.spec.index
        other.down(silent)
        with pytest.raises(PlatformError, match=f"port {cluster.spec.api_port} "):
            other.up(silent, api_port=cluster.spec.api_port, publish=False)
    finally:
        other.down(silent, purge=True, keep_tools=True)
    assert leftovers(other) == []
    assert not other.state.exists()
    assert fetch(f"{cluster.gateway_url}/starts") == "x"


def test_a_component_that_keeps_failing_is_named_with_its_log(cluster: Cluster, clusters: Path) -> None:
    assert cluster.status().running
    broken = Cluster.named("broken", state_dir=clusters)
    broken.state.mkdir()
    broken.layout.etcd.write_text("not a directory")
    try:
        with pytest.raises(PlatformError, match=r"etcd ended \d times(.|\n)*etcd\.log(.|\n)*not a directory"):
            broken.up(silent, fsync=False, publish=False)
        broken.layout.etcd.unlink()
        broken.up(silent, fsync=False, publish=False)
        assert broken.status().ready
    finally:
        broken.down(silent, purge=True, keep_tools=True)


def interrupted(clusters: Path, moment: str) -> None:
    """Press Ctrl-C when an `up` of cluster `stopped` says something."""
    script = (
        "import sys; from pathlib import Path; from infra.cluster import Cluster\n"
        "Cluster.named('stopped', state_dir=Path(sys.argv[1])).up(print, fsync=False, publish=False)"
    )
    command = [sys.executable, "-u", "-c", script, str(clusters)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert any(line.startswith(moment) for line in process.stdout), f"it never said {moment!r}"
        process.send_signal(signal.SIGINT)
        assert process.wait() != 0


def test_ctrl_c_while_starting_is_picked_up_by_the_next_command(clusters: Path, cluster: Cluster) -> None:
    assert cluster.status().running
    stopped = Cluster.named("stopped", state_dir=clusters)
    try:
        interrupted(clusters, "certificates and configuration")
        interrupted(clusters, "waiting for")
        stopped.up(silent, fsync=False, publish=False)
        assert stopped.status().ready
        stopped.down(silent)
        assert leftovers(stopped) == []
        interrupted(clusters, "starting the node")
        stopped.up(silent, fsync=False, publish=False)
        assert stopped.status().ready
    finally:
        stopped.down(silent, purge=True, keep_tools=True)
    assert leftovers(stopped) == []


def test_metrics_of_nodes_and_pods(kubectl: Kubectl) -> None:
    """Late, for they come every 15 s; so they also have outlived the end of every component."""
    eventually(lambda: kubectl.run("top", "node", "mcp-live").returncode == 0, "metrics of the node")
    eventually(lambda: "web" in kubectl.run("top", "pod", "-n", SPACE).stdout, "metrics of the pod")


def test_data_survives_down_and_up_and_down_leaves_nothing(
    cluster: Cluster, kubectl: Kubectl, before: dict[str, object]
) -> None:
    cluster.down(silent)
    assert leftovers(cluster) == []
    assert machine() == before
    assert not cluster.status().running
    cluster.up(silent, fsync=False, publish=False)
    # The image, the volume and the pod are there: it starts a second time.
    eventually(lambda: fetch(f"{cluster.gateway_url}/starts") == "xx", "the pod starts again")
    assert kubectl.get("pvc", "-n", SPACE, "data")["status"]["phase"] == "Bound"


def test_data_survives_the_death_of_everything(cluster: Cluster) -> None:
    identity = launch.running(cluster.layout)
    assert identity is not None
    everything = [Identity.of(pid) for pid in tree(identity.pid)]
    assert len(everything) > 10
    identity.send(signal.SIGKILL)
    for one in everything:
        assert one is None or one.wait(60)
    assert not cluster.status().running
    cluster.up(silent, fsync=False, publish=False)
    eventually(lambda: fetch(f"{cluster.gateway_url}/starts") == "xxx", "the pod starts a third time")
