from __future__ import annotations

import contextlib
import http.server
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.cluster import runner
from infra.cluster.components import Component, Probe
from infra.cluster.runner import Runner, is_ready, rotate
from infra.cluster.spec import ClusterSpec, Layout
from infra.cluster.supervisor import Supervisor, end, main_processes, reap


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.logs.mkdir()
    return layout


@pytest.fixture
def start(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Runner]]:
    """Run a shell command as a component; all of them end with the test."""
    monkeypatch.setattr(runner, "FIRST_DELAY", 0.05)
    started: list[Runner] = []
    ready: dict[str, threading.Event] = {}

    def begin(name: str, script: str, *, after: tuple[str, ...] = (), probe: Probe | None = None) -> Runner:
        for known in (name, *after):
            ready.setdefault(known, threading.Event())
        component = Component(name, ("/bin/sh", "-c", script), probe or Probe(), after=after)
        one = Runner(component, layout, ready, lambda: None)
        started.append(one)
        one.start()
        return one

    yield begin
    end(started)


def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def test_what_crashes_is_started_again(start: Callable[..., Runner], layout: Layout) -> None:
    crashing = start("crashing", "echo once more; exit 3", probe=Probe(socket="/nowhere"))
    eventually(lambda: crashing.restarts >= 3)
    assert layout.log("crashing").read_text().startswith("once more\nonce more\n")
    assert crashing.condition.state in ("starting", "restarting")


def test_a_killed_component_comes_back_and_is_counted(start: Callable[..., Runner]) -> None:
    steady = start("steady", "exec sleep 60")
    eventually(lambda: steady.state == "ready")
    assert steady.process is not None
    first = steady.process.pid
    steady.process.kill()
    eventually(lambda: steady.restarts == 1 and steady.state == "ready")
    assert steady.condition.pid not in (None, first)


def test_what_has_ended_is_said_to_be_ready_at_no_moment(
    start: Callable[..., Runner], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def tell(_line: str) -> None:
        told.append(brief.state)

    monkeypatch.setattr(runner, "tell", tell)
    brief = start("brief", "exec sleep 60")
    eventually(lambda: brief.state == "ready")
    assert brief.process is not None
    brief.process.kill()
    eventually(lambda: bool(told))
    assert told[0] == "restarting"


def test_a_component_waits_for_what_it_needs(start: Callable[..., Runner], tmp_path: Path) -> None:
    path = tmp_path / "socket"
    second = start("second", "exec sleep 60", after=("first",))
    first = start("first", "exec sleep 60", probe=Probe(socket=str(path)))
    eventually(lambda: first.state == "starting")
    time.sleep(0.3)
    assert second.state == "waiting"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        eventually(lambda: second.state == "ready")


def test_stopping_ends_what_waits_runs_and_resists(
    start: Callable[..., Runner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.cluster.supervisor.COMPONENT_GRACE", 0.5)
    deaf = tmp_path / "deaf"
    runners = [
        start("waits", "exec sleep 60", after=("never",)),
        start("runs", "exec sleep 60"),
        start("resists", f"trap '' TERM; touch {deaf}; while :; do sleep 0.1; done"),
    ]
    eventually(lambda: runners[1].state == runners[2].state == "ready" and deaf.exists())
    end(runners)
    assert [one.condition.state for one in runners] == ["stopped"] * 3
    assert [one.condition.pid for one in runners] == [None] * 3


def test_http_probes(layout: Layout) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200 if self.path == "/good" else 500)
            self.end_headers()

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        base = f"http://127.0.0.1:{server.server_port}"
        assert is_ready(Probe(f"{base}/good"), layout)
        assert not is_ready(Probe(f"{base}/bad"), layout)
        server.shutdown()
        thread.join()
    assert not is_ready(Probe(f"{base}/good"), layout)


def test_what_can_not_be_started_is_tried_again(
    start: Callable[..., Runner], layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    layout.log("steady").symlink_to("/sys/steady.log")
    steady = start("steady", "exec sleep 60")
    eventually(lambda: steady.restarts >= 2)
    assert "steady could not be started (" in capsys.readouterr().out
    layout.log("steady").unlink()
    eventually(lambda: steady.state == "ready")


def test_a_full_disk_stops_no_supervisor_and_its_notes_follow_when_there_is_space(layout: Layout) -> None:
    def told() -> dict[str, int]:
        return {one["name"]: one["restarts"] for one in json.loads(layout.status_file.read_text())}

    spec = ClusterSpec(name="mine", index=2, api_port=17001, gateway_port=17002)
    sleeping = ("/bin/sh", "-c", "exec sleep 60")
    never = Probe(socket="/nowhere")  # nor does anything wait for it to be ready
    wanted = [Component(name, sleeping, Probe()) for name in ("kubelet", "containerd", "etcd")]
    supervisor = Supervisor(spec, layout, [*wanted, Component("kube-apiserver", sleeping, never)])
    stop = threading.Event()
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    kubelet = supervisor.runners[0]
    eventually(lambda: layout.status_file.exists() and kubelet.state == "ready")
    draft = layout.root / f".{layout.status_file.name}.{os.getpid()}"

    def blocked() -> bool:
        with contextlib.suppress(FileExistsError):  # notes are being written just now
            draft.mkdir()
        return draft.is_dir()

    eventually(blocked)  # like a full disk: notes can't be written
    assert kubelet.process is not None
    kubelet.process.kill()
    eventually(lambda: kubelet.restarts == 1 and kubelet.state == "ready")
    assert told()["kubelet"] == 0
    draft.rmdir()
    eventually(lambda: told()["kubelet"] == 1)
    stop.set()
    thread.join()


def test_a_log_without_room_for_its_past_starts_over(tmp_path: Path) -> None:
    log, old = tmp_path / "a.log", tmp_path / "a.log.1"
    log.write_bytes(b"x" * 101)
    old.symlink_to("/dev/full")
    rotate(log, limit=100)
    assert log.stat().st_size == 0
    assert not old.is_symlink()


def test_logs_stay_bounded_and_the_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 100)
        rotate(log, limit=100)
        assert log.stat().st_size == 100
        writer.write(b"y")
        rotate(log, limit=100)
        writer.write(b"new")
    assert log.read_bytes() == b"new"
    assert (tmp_path / "a.log.1").read_bytes() == b"x" * 100 + b"y"


def test_the_first_process_of_a_container_is_the_one_with_a_parent_outside() -> None:
    shell = subprocess.Popen(["sh", "-c", "sleep 60 & wait"], stdout=subprocess.DEVNULL)
    try:
        found: list[int] = []

        def child() -> bool:
            found[:] = [int(pid) for pid in _children(shell.pid)]
            return bool(found)

        eventually(child)
        assert main_processes({shell.pid, *found}) == {shell.pid}
        for pid in found:
            os.kill(pid, 15)
    finally:
        shell.kill()
        shell.wait()


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_reaping_leaves_components_to_their_runners() -> None:
    ours, orphan = subprocess.Popen(["true"]), subprocess.Popen(["true"])
    for process in (ours, orphan):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is not reaped yet
    reap({ours.pid, orphan.pid})
    assert ours.wait() == 0
    reap(set())
    with pytest.raises(ChildProcessError):
        os.waitpid(orphan.pid, 0)
    orphan.returncode = 0
