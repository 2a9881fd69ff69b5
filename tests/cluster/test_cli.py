from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.cluster import app, show
from infra.cluster import Cluster, ClusterStatus, ComponentStatus, silent
from infra.cluster.spec import ClusterSpec, write_spec
from infra.errors import PlatformError


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster that was made once and is down."""
    monkeypatch.setenv("MCP_PLATFORM_HOME", str(tmp_path))
    cluster = Cluster.named("mine")
    cluster.state.mkdir(parents=True)
    write_spec(cluster.layout, ClusterSpec(name="mine", index=2, api_port=17001, gateway_port=17002))
    return cluster


def test_a_cluster_that_was_never_made_is_said_to_be_missing(cluster: Cluster) -> None:
    assert cluster.spec.index == 2
    for command in (["status"], ["kubeconfig"]):
        done = CliRunner().invoke(app, [*command, "--name", "yours"])
        assert isinstance(done.exception, PlatformError)
        assert "no cluster yours" in str(done.exception)
        assert done.exception.hint == "`mcpctl cluster up --name yours` makes it"


def test_what_needs_a_cluster_that_is_down_says_how_to_start_it(cluster: Cluster) -> None:
    assert not cluster.running
    with pytest.raises(PlatformError, match="cluster mine is down") as caught:
        cluster.require_running()
    assert "mcpctl cluster up --name mine" in caught.value.hint
    with pytest.raises(PlatformError, match="there is no cluster yours"):
        Cluster.named("yours").require_running()


def test_a_name_that_is_a_path_is_refused() -> None:
    done = CliRunner().invoke(app, ["down", "--name", "../etc", "--purge"])
    assert isinstance(done.exception, PlatformError)
    assert "cluster name '../etc'" in str(done.exception)


def test_the_status_of_a_cluster_that_is_down(cluster: Cluster) -> None:
    done = CliRunner().invoke(app, ["status", "--name", "mine"])
    assert (done.exit_code, done.stdout) == (1, "cluster mine is down\n")
    machine = CliRunner().invoke(app, ["status", "--name", "mine", "--json"])
    answer = json.loads(machine.stdout)
    assert (machine.exit_code, answer["running"], answer["ready"]) == (1, False, False)
    assert answer["gateway_url"] == cluster.gateway_url == "http://127.0.0.1:17002"


def test_the_kubeconfig_is_named(cluster: Cluster) -> None:
    done = CliRunner().invoke(app, ["kubeconfig", "--name", "mine"])
    assert done.stdout == f"export KUBECONFIG={cluster.kubeconfig}\n"
    assert (
        CliRunner().invoke(app, ["kubeconfig", "--name", "mine", "--path"]).stdout
        == f"{cluster.kubeconfig}\n"
    )


def test_a_component_that_is_not_ready_is_shown_with_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "etcd.log"
    log.write_text("first\n[bold]disk[/] full\n")
    etcd = ComponentStatus("etcd", "restarting", None, 4, log)
    found = ClusterStatus("mine", 7, [etcd], node_ready=False, api_url="a", gateway_url="g", logs=tmp_path)
    assert not found.ready
    show(found)
    shown = capsys.readouterr().out
    assert "restarting" in shown
    assert "[bold]disk[/] full" in shown
    assert "nsenter --target 7 --all" in shown


def test_purging_deletes_the_data_and_with_the_last_cluster_what_was_built(cluster: Cluster) -> None:
    home = cluster.home
    other = Cluster.named("other")
    for state in (cluster.state, other.state):
        state.mkdir(exist_ok=True)
    for directory in (home / "tools" / "x", home / "indexes", home / "images"):
        directory.mkdir(parents=True)
    (home / "indexes" / "2").symlink_to(cluster.state)
    (home / "indexes" / "0").symlink_to(other.state)
    cluster.down(silent, purge=True)
    assert not cluster.state.exists()
    assert (home / "tools" / "x").exists()
    other.down(silent, purge=True)
    assert sorted(path.name for path in home.iterdir()) == ["clusters", "indexes"]


def test_purging_a_cluster_of_a_test_may_keep_the_programs(cluster: Cluster) -> None:
    (cluster.home / "tools").mkdir()
    cluster.down(silent, purge=True, keep_tools=True)
    assert (cluster.home / "tools").exists()


def test_down_of_nothing_is_no_error(cluster: Cluster) -> None:
    told: list[str] = []
    Cluster.named("nothing", home=cluster.home).down(told.append)
    assert told == ["there is none"]
