from __future__ import annotations

import threading
from itertools import combinations
from pathlib import Path

import pytest

from infra.cluster.indexes import claim_index, release_index
from infra.cluster.spec import (
    ClusterSpec,
    Layout,
    check_name,
    default_ports,
    read_spec,
    write_atomically,
    write_spec,
)
from infra.errors import PlatformError


def spec(index: int = 0, name: str = "default") -> ClusterSpec:
    api, gateway = default_ports(name, index)
    return ClusterSpec(name=name, index=index, api_port=api, gateway_port=gateway)


@pytest.mark.parametrize("name", ["a", "default", "test-1", "x" * 30])
def test_good_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a/b", "../x", "x" * 31, "a\n"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(PlatformError, match="cluster name"):
        check_name(name)


def test_addresses_follow_from_the_index() -> None:
    third = spec(3, "other")
    assert str(third.node_ip) == "10.250.3.1"
    assert str(third.pod_network) == "10.244.3.0/24"
    assert str(third.service_network) == "10.96.3.0/24"
    assert str(third.api_service_ip) == "10.96.3.1"
    assert str(third.dns_ip) == "10.96.3.10"


def test_the_networks_of_all_clusters_are_apart() -> None:
    specs = [spec(index, f"c{index}") for index in (0, 1, 255)]
    for one, other in combinations(specs, 2):
        assert not one.pod_network.overlaps(other.pod_network)
        assert not one.service_network.overlaps(other.service_network)
        assert one.node_ip != other.node_ip
        assert len({one.api_port, one.gateway_port, other.api_port, other.gateway_port}) == 4
    assert not specs[0].pod_network.overlaps(specs[0].service_network)


def test_the_default_cluster_has_the_documented_ports() -> None:
    assert default_ports("default", 7) == (16443, 8080)


@pytest.mark.parametrize(("api", "gateway"), [(0, 80), (65536, 80), (80, -1), (8080, 8080)])
def test_impossible_ports_are_refused(api: int, gateway: int) -> None:
    with pytest.raises(PlatformError, match="port"):
        ClusterSpec(name="a", index=0, api_port=api, gateway_port=gateway)


def test_a_spec_survives_being_stored(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert read_spec(layout) is None
    write_spec(layout, spec(4, "a"))
    assert read_spec(layout) == spec(4, "a")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"name": "a"}', '{"name": "a", "index": 0, "colour": "red"}']
)
def test_a_damaged_spec_is_named(tmp_path: Path, text: str) -> None:
    layout = Layout(tmp_path)
    layout.spec_file.write_text(text)
    with pytest.raises(PlatformError, match=r"cluster\.json"):
        read_spec(layout)


@pytest.mark.parametrize("stale", [0, 20])
def test_indexes_are_unique_even_when_claimed_at_once(tmp_path: Path, stale: int) -> None:
    directories = [tmp_path / f"c{number}" for number in range(20)]
    for directory in directories:
        directory.mkdir()
    (tmp_path / "indexes").mkdir()
    for number in range(stale):  # of clusters that were deleted by hand
        (tmp_path / "indexes" / str(number)).symlink_to(tmp_path / "gone")
    found: list[int] = []
    start = threading.Barrier(len(directories))

    def claim(directory: Path) -> None:
        start.wait()
        found.append(claim_index(tmp_path / "indexes", directory))

    threads = [threading.Thread(target=claim, args=(directory,)) for directory in directories]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(20))


def test_an_index_is_kept_while_its_cluster_exists_and_free_afterwards(tmp_path: Path) -> None:
    registry, first, second = tmp_path / "indexes", tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    assert claim_index(registry, first) == 0
    assert claim_index(registry, second) == 1
    assert claim_index(registry, first) == 0
    release_index(registry, 1, first)  # not its own
    assert claim_index(registry, second) == 1
    release_index(registry, 1, second)
    assert not (registry / "1").is_symlink()
    first.rmdir()
    third = tmp_path / "third"
    third.mkdir()
    assert claim_index(registry, third) == 0


def test_a_failed_write_leaves_the_old_text(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomically(target, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(target, "\udc80")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_directory_too_deep_for_a_socket_is_refused() -> None:
    Layout(Path("/var/lib/mcp-platform/clusters/default")).check()
    with pytest.raises(PlatformError, match="too long"):
        Layout(Path("/" + "x" * 95)).check()


def test_clusters_of_one_name_in_two_directories_have_cgroups_of_their_own() -> None:
    assert Layout(Path("/a/default")).cgroup != Layout(Path("/b/default")).cgroup
