from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from infra.cluster import configs
from infra.cluster.components import OBJECTS, Component, components
from infra.cluster.spec import ClusterSpec, Layout
from infra.cluster.tools import Toolbox

SPEC = ClusterSpec(name="default", index=0, api_port=16443, gateway_port=8080)
OTHER = ClusterSpec(name="other", index=1, api_port=16444, gateway_port=8081)
LAYOUT, OTHER_LAYOUT = Layout(Path("/srv/default")), Layout(Path("/srv/other"))
TOOLS = Path("/tools")


def all_components(
    spec: ClusterSpec = SPEC, layout: Layout = LAYOUT, *, fsync: bool = True
) -> dict[str, Component]:
    made = components(spec, layout, TOOLS, api_socket=7, gateway_socket=8, fsync=fsync)
    return {component.name: component for component in made}


def test_the_api_server_knows_nobody_without_a_certificate() -> None:
    argv = all_components()["kube-apiserver"].argv
    assert "--anonymous-auth=false" in argv
    assert "--authorization-mode=Node,RBAC" in argv
    assert "--enable-admission-plugins=NodeRestriction" in argv
    assert not any("AlwaysAllow" in word or "insecure" in word for word in argv)


def test_the_kubelet_knows_nobody_without_a_certificate() -> None:
    kubelet = configs.kubelet(SPEC, LAYOUT)
    assert kubelet["authentication"]["anonymous"] == {"enabled": False}
    assert kubelet["authorization"] == {"mode": "Webhook"}
    assert "readOnlyPort" not in kubelet  # its default is off


def test_the_kubelet_runs_on_both_kinds_of_cgroups_and_never_removes_images() -> None:
    kubelet = configs.kubelet(SPEC, LAYOUT)
    assert kubelet["failCgroupV1"] is False
    assert kubelet["imageGCHighThresholdPercent"] == 100
    assert kubelet["cgroupRoot"] == f"/{LAYOUT.cgroup}"


def test_pod_security_is_on_where_nobody_asked() -> None:
    plugin = configs.admission()["plugins"][0]
    assert plugin["name"] == "PodSecurity"
    assert plugin["configuration"]["defaults"]["enforce"] == "baseline"


def test_etcd_may_skip_fsync_only_when_told() -> None:
    assert "--unsafe-no-fsync" not in all_components()["etcd"].argv
    assert "--unsafe-no-fsync" in all_components(fsync=False)["etcd"].argv


def test_only_the_forwarder_gets_the_hosts_sockets() -> None:
    made = all_components()
    assert {name for name, component in made.items() if component.descriptors} == {"forwarder"}
    assert made["forwarder"].argv[-2:] == ("7=10.250.0.1:6443", "8=10.250.0.1:30080")


def test_what_a_component_waits_for_starts_earlier() -> None:
    started = {OBJECTS}
    for component in all_components().values():
        assert set(component.after) <= started, component.name
        started.add(component.name)


def test_every_program_is_built_or_python() -> None:
    built = {
        "server",
        "containerd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "coredns",
        "metrics-server",
    }
    programs = {Path(component.argv[0]) for component in all_components().values()}
    assert {program.name for program in programs if program.parent == TOOLS} == built


def test_two_clusters_share_no_file_address_or_port() -> None:
    def words(spec: ClusterSpec, layout: Layout) -> str:
        made = all_components(spec, layout).values()
        return json.dumps([*(component.argv for component in made), configs.render(spec, layout, TOOLS)])

    first, second = words(SPEC, LAYOUT), words(OTHER, OTHER_LAYOUT)
    for mine in ("/srv/default", "mcp-default", "10.250.0.", "10.244.0.", "10.96.0."):
        assert mine in first
        assert mine not in second


def test_the_container_runtime_is_confined_to_the_clusters_directory() -> None:
    config = tomllib.loads(configs.containerd(LAYOUT, TOOLS))
    assert config["root"] == "/srv/default/containerd/root"
    assert config["state"] == "/srv/default/containerd/state"
    assert config["grpc"]["address"] == str(LAYOUT.containerd_socket)
    runtime = config["plugins"]["io.containerd.cri.v1.runtime"]
    assert runtime["restrict_oom_score_adj"] is True
    assert runtime["netns_mounts_under_state_dir"] is True
    assert runtime["cni"]["conf_dir"] == "/srv/default/config/cni"


def test_pods_are_wired_point_to_point_and_never_masqueraded() -> None:
    plugin = json.loads(configs.cni(SPEC))["plugins"][0]
    assert plugin["type"] == "ptp"
    assert "ipMasq" not in plugin
    assert plugin["ipam"]["ranges"] == [[{"subnet": "10.244.0.0/24"}]]


def test_configuration_files_are_what_they_claim() -> None:
    rendered = configs.render(SPEC, LAYOUT, TOOLS)
    assert yaml.safe_load(rendered["kubelet.yaml"])["kind"] == "KubeletConfiguration"
    assert yaml.safe_load(rendered["admission.yaml"])["kind"] == "AdmissionConfiguration"
    assert "bind 10.250.0.1" in rendered["Corefile"]
    assert "forward" not in rendered["Corefile"]


def test_the_fingerprint_changes_with_whatever_the_cluster_starts_with(tmp_path: Path) -> None:
    same = configs.fingerprint(SPEC, LAYOUT, TOOLS)
    assert configs.fingerprint(SPEC, LAYOUT, TOOLS) == same
    assert configs.fingerprint(SPEC, LAYOUT, tmp_path) != same
    assert configs.fingerprint(OTHER, LAYOUT, TOOLS) != same


def test_written_configuration_is_for_root_only(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    configs.write_all(SPEC, layout, TOOLS)
    written = [path for path in layout.config.rglob("*") if path.is_file()]
    assert len(written) == len(configs.render(SPEC, layout, TOOLS))
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}


def test_a_program_that_was_not_built_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="kubectl has not been built"):
        Toolbox(tmp_path).path("kubectl")
