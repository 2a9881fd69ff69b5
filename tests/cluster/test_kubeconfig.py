from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.cluster import certificates, kubeconfig
from infra.cluster.spec import ClusterSpec, Layout
from infra.errors import PlatformError

SPEC = ClusterSpec(name="default", index=0, api_port=16443, gateway_port=8080)


def config(name: str, server: str = "https://x", **rest: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "users": [{"name": name, "user": {"token": name}}],
        "current-context": name,
        **rest,
    }


def test_into_nothing() -> None:
    assert kubeconfig.merged({}, config("mcp-default")) == config("mcp-default")


def test_what_others_put_there_stays() -> None:
    theirs = config("work", preferences={"colors": True}, extensions=[{"name": "x"}])
    both = kubeconfig.merged(theirs, config("mcp-default"))
    assert [one["name"] for one in both["clusters"]] == ["work", "mcp-default"]
    assert both["current-context"] == "work"
    assert both["preferences"] == {"colors": True}
    assert kubeconfig.without(both, "mcp-default") == theirs


def test_ours_is_replaced_not_doubled() -> None:
    once = kubeconfig.merged(config("work"), config("mcp-default", "https://old"))
    twice = kubeconfig.merged(once, config("mcp-default", "https://new"))
    assert [one["cluster"]["server"] for one in twice["clusters"]] == ["https://x", "https://new"]


def test_null_sections_are_empty_sections() -> None:
    nothing = {"apiVersion": "v1", "kind": "Config", "clusters": None, "contexts": None, "users": None}
    assert kubeconfig.merged(nothing, config("a"))["clusters"] == config("a")["clusters"]
    assert kubeconfig.without(nothing, "a")["clusters"] == []


def test_removing_the_current_context_leaves_none() -> None:
    assert kubeconfig.without(config("a"), "a")["current-context"] == ""


def test_the_file_is_replaced_in_one_step_and_links_stay_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text(yaml.safe_dump(config("work")))
    link.symlink_to(real)
    assert kubeconfig.merge_into(link, config("mcp-default")) is False
    assert link.is_symlink()
    assert len(yaml.safe_load(real.read_text())["clusters"]) == 2
    kubeconfig.remove_from(link, "mcp-default")
    assert yaml.safe_load(real.read_text()) == config("work")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_an_unchanged_file_is_not_written(tmp_path: Path) -> None:
    target = tmp_path / "config"
    target.write_text("# by hand\n" + yaml.safe_dump(config("mcp-default")))
    assert kubeconfig.merge_into(target, config("mcp-default")) is True
    assert target.read_text().startswith("# by hand")


@pytest.mark.parametrize("text", ["- a list", "{", "just words"])
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, text: str) -> None:
    target = tmp_path / "config"
    target.write_text(text)
    with pytest.raises(PlatformError, match=str(target)):
        kubeconfig.merge_into(target, config("a"))
    assert target.read_text() == text


def test_the_users_file_is_kubectls() -> None:
    assert kubeconfig.user_file({"HOME": "/home/a"}) == Path("/home/a/.kube/config")
    assert kubeconfig.user_file({"KUBECONFIG": ":/x:/y"}) == Path("/x")


def test_components_reach_the_node_and_the_user_reaches_the_host(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    certificates.ensure(SPEC, layout)
    kubeconfig.write_all(SPEC, layout)
    admin = yaml.safe_load(layout.admin_kubeconfig.read_text())
    assert admin["current-context"] == "mcp-default"
    assert admin["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:16443"
    inside = yaml.safe_load((layout.kubeconfigs / "kubelet.yaml").read_text())
    assert inside["clusters"][0]["cluster"]["server"] == "https://10.250.0.1:6443"
    assert layout.admin_kubeconfig.stat().st_mode & 0o777 == 0o600
