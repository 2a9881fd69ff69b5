from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from infra.cluster import certificates, golang, preflight, publish, tools
from infra.cluster.building import Progress
from infra.cluster.launch import listen
from infra.cluster.modules import MODULES, Module
from infra.cluster.report import Report, last_lines, log_tail, silent
from infra.cluster.spec import ClusterSpec, Layout
from infra.cluster.tools import Toolbox, tools_key
from infra.errors import PlatformError


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go1.27", (1, 27, 0)),
        ("1.26.6", (1, 26, 6)),
        ("go version devel", None),
        ("", None),
    ],
)
def test_go_versions(text: str, version: tuple[int, int, int] | None) -> None:
    assert golang.parse_version(text) == version


def test_the_newest_module_decides_which_go_is_new_enough(tmp_path: Path) -> None:
    for name, version in (("a", "1.26.0"), ("b", "1.26.10"), ("c", "1.26.9")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "go.mod").write_text(f"module {name}\n\ngo {version}\n")
    assert golang.required_version(tmp_path) == (1, 26, 10)
    assert golang.required_version() >= (1, 26, 0)


def test_what_does_not_run_is_no_go() -> None:
    assert golang.version_of(Path("/bin/true")) == (0, 0, 0)


def test_the_wheel_that_brings_go_is_new_enough_and_pinned_by_hash() -> None:
    pin, *hashes = golang.LOCK.read_text().replace("\\", "").split()
    version = golang.parse_version(pin.partition("==")[2])
    assert version is not None
    assert version >= golang.required_version()
    assert hashes
    assert all(one.startswith("--hash=sha256:") for one in hashes)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where Go was installed, on a machine that has none."""
    places: list[Path] = []

    def install(environment: Path, _report: Report) -> None:
        places.append(environment)
        (environment / "bin").mkdir(parents=True, exist_ok=True)
        (environment / "bin" / "go").touch()

    def version(go: Path) -> golang.Version:
        return (99, 0, 0) if go.is_relative_to(tmp_path) else (0, 0, 0)

    monkeypatch.setattr(golang, "install_go", install)
    monkeypatch.setattr(golang, "version_of", version)
    return places


def test_those_who_need_go_at_once_install_it_once(tmp_path: Path, installed: list[Path]) -> None:
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(golang.find_go(tmp_path, silent))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / "go" / "bin" / "go"] * 8
    assert installed == [tmp_path / "go"]


def test_an_installation_of_go_that_was_cut_short_is_begun_anew(
    tmp_path: Path, installed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = golang.install_go

    def cut_short(environment: Path, report: Report) -> None:
        whole(environment, report)
        raise KeyboardInterrupt

    monkeypatch.setattr(golang, "install_go", cut_short)
    with pytest.raises(KeyboardInterrupt):
        golang.find_go(tmp_path, silent)
    monkeypatch.setattr(golang, "install_go", whole)
    golang.find_go(tmp_path, silent)
    golang.find_go(tmp_path, silent)
    assert len(installed) == 2


def test_the_key_changes_with_sources_and_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "go.mod").write_text("module m\n")
    keys: set[str] = set()
    monkeypatch.setattr(tools, "MODULES", (Module("m", sources=tmp_path),))
    keys.add(tools_key())
    assert tools_key() in keys
    monkeypatch.setattr(tools, "MODULES", (Module("m", "-X a=b", sources=tmp_path),))
    keys.add(tools_key())
    (tmp_path / "m" / "go.sum").write_text("x")
    keys.add(tools_key())
    assert len(keys) == 3


def test_an_interrupted_build_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    box = Toolbox(tmp_path)
    box.root.mkdir(parents=True)
    box.stamp(MODULES[0]).touch()
    assert box.missing == list(MODULES[1:])


def test_programs_are_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "MODULES", tuple(one for one in MODULES if one.name == "pause"))
    told: list[str] = []
    box = Toolbox(tmp_path)
    box.build(told.append)
    assert told[-1] == "building pause [1/1]: linking, programs: 1"
    pause = subprocess.Popen([box.path("pause")])
    pause.terminate()
    assert pause.wait() in (0, -15)
    told.clear()
    box.build(told.append)
    assert told == []


def test_a_module_that_does_not_build_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "sources" / "bad"
    source.mkdir(parents=True)
    (source / "go.mod").write_text("module bad\n\ngo 1.26.0\n")
    (source / "main.go").write_text("package main\n\nfunc main() { nonsense }\n")
    monkeypatch.setattr(tools, "MODULES", (Module("bad", packages=".", sources=source.parent),))
    with pytest.raises(PlatformError, match=r"bad could not be built(.|\n)*nonsense"):
        Toolbox(tmp_path / "home").build(lambda _: None)


def test_progress_counts_libraries_only_and_is_not_chatty() -> None:
    told: list[str] = []
    progress = Progress("building", {f"p{number}" for number in range(1000)}, 2, told.append)
    for number in range(1000):
        progress.compiled(f"p{number}")
        progress.compiled("# warning")
    assert told[0] == "building: package 0 of 1000"
    assert told[-1] == "building: linking, programs: 2"
    assert len(told) < 10


def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    with listen(0, "anything") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PlatformError, match=str(port)) as caught:
            listen(port, "the MCP gateway")
        assert "--gateway-port" in caught.value.hint


def test_too_little_disk_is_said_before_anything_is_changed(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="GiB left"):
        preflight.check_space(tmp_path / "not" / "there" / "yet", 2**62)
    assert list(tmp_path.iterdir()) == []


def test_without_root_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PlatformError, match="root"):
        preflight.check_user()


def test_commands_are_linked_only_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, links, users = Toolbox(tmp_path / "home"), tmp_path / "links", tmp_path / "users"
    for directory in (box.directory, links, users):
        directory.mkdir(parents=True)
    for program in (box.directory / "kubectl", box.directory / "helm", users / "helm"):
        program.touch(0o755)
    monkeypatch.setenv("PATH", f"{links}:{users}")
    assert publish.link_commands(box, links) == [str(links / "kubectl")]
    assert publish.link_commands(box, links) == [str(links / "kubectl")]
    assert (links / "kubectl").readlink() == box.directory / "kubectl"
    assert not (links / "helm").exists()


def test_only_our_own_links_are_removed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "tools").mkdir(parents=True)
    ours, replaced = tmp_path / "kubectl", tmp_path / "helm"
    ours.symlink_to(home / "tools" / "x" / "bin" / "kubectl")
    replaced.write_text("the user's own")
    (home / "tools" / "links.json").write_text(f'["{ours}", "{replaced}"]')
    publish.unlink_commands(home)
    assert not ours.is_symlink()
    assert replaced.exists()


def test_tails_of_logs(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log_tail(log) == ""
    log.write_text("".join(f"line {number}\n\n" for number in range(100)))
    assert log_tail(log, 2) == "line 98\nline 99"
    assert log_tail(log, 2, window=10) == "99" or log_tail(log, 2, window=10).endswith("line 99")
    assert last_lines("a\n\nb  \n", 5) == "a\nb"


def test_a_context_is_taken_back_from_every_kubeconfig_that_got_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ClusterSpec(name="mine", index=0, api_port=1, gateway_port=2)
    layout, box = Layout(tmp_path / "mine"), Toolbox(tmp_path / "home")
    for directory in (layout.root, box.directory, tmp_path / "links"):
        directory.mkdir(parents=True)
    for program in publish.COMMANDS:
        (box.directory / program).touch(0o755)
    certificates.ensure(spec, layout)
    for file in ("one", "two", "two"):
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / file))
        publish.publish(spec, layout, box, lambda _: None, tmp_path / "links")
        assert "mcp-mine" in (tmp_path / file).read_text()
    publish.withdraw("mcp-mine", layout, box.home)
    for file in ("one", "two"):
        assert "mcp-mine" not in (tmp_path / file).read_text()


def test_clusters_that_come_up_at_once_are_all_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, links = Toolbox(tmp_path / "home"), tmp_path / "links"
    box.directory.mkdir(parents=True)
    links.mkdir()
    monkeypatch.setenv("PATH", str(links))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    for program in publish.COMMANDS:
        (box.directory / program).touch(0o755)
    clusters = [
        (
            ClusterSpec(name=f"c{index}", index=index, api_port=1, gateway_port=2),
            Layout(tmp_path / f"c{index}"),
        )
        for index in range(6)
    ]
    for spec, layout in clusters:
        layout.root.mkdir()
        certificates.ensure(spec, layout)
    start = threading.Barrier(len(clusters))
    failed: list[str] = []

    def come_up(spec: ClusterSpec, layout: Layout) -> None:
        start.wait()
        try:
            publish.publish(spec, layout, box, lambda _: None, links)
        except OSError as error:
            failed.append(str(error))

    threads = [threading.Thread(target=come_up, args=one) for one in clusters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    text = (tmp_path / "config").read_text()
    assert [spec.context for spec, _ in clusters if spec.context not in text] == []
    assert all((links / program).is_symlink() for program in publish.COMMANDS)
