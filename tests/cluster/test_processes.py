from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from infra.cluster.processes import Identity, children, handles, inner_pid, is_locked, locked, parent_pid


def test_this_process_is_alive_and_itself(tmp_path: Path) -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    assert me.alive
    me.store(tmp_path / "me")
    assert Identity.load(tmp_path / "me") == me


def test_another_process_with_the_same_number_is_not_taken_for_it() -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        identity = Identity.of(sleeper.pid)
        assert identity is not None
        earlier = replace(identity, started=identity.started - 1)
        before_reboot = replace(identity, boot="another")
        for stranger in (earlier, before_reboot):
            assert not stranger.alive
            stranger.send(signal.SIGKILL)
        assert sleeper.poll() is None
        identity.send(signal.SIGKILL)
        assert sleeper.wait() == -signal.SIGKILL
        assert not identity.alive
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_zombie_is_not_alive() -> None:
    short = subprocess.Popen(["true"])
    identity = Identity.of(short.pid)
    os.waitid(os.P_PID, short.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is not reaped yet
    assert Identity.of(short.pid) is None
    assert identity is None or identity.wait(1)
    short.wait()


def test_a_process_may_have_any_name(tmp_path: Path) -> None:
    program = tmp_path / "a) R (b"
    program.symlink_to("/bin/sleep")
    sleeper = subprocess.Popen([program, "60"])
    try:
        identity = Identity.of(sleeper.pid)
        assert identity is not None
        assert identity.alive
    finally:
        sleeper.kill()
        sleeper.wait()


def test_damaged_or_missing_notes_name_nobody(tmp_path: Path) -> None:
    note = tmp_path / "note"
    assert Identity.load(note) is None
    for text in ("", "{", '{"pid": 1}', "[]", "3"):
        note.write_text(text)
        assert Identity.load(note) is None


def test_family() -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        assert sleeper.pid in children(os.getpid())
        assert parent_pid(sleeper.pid) == os.getpid()
        assert inner_pid(sleeper.pid) == sleeper.pid  # we are in its process namespace
    finally:
        sleeper.kill()
        sleeper.wait()
    assert children(sleeper.pid) == []
    assert inner_pid(sleeper.pid) is None
    assert parent_pid(sleeper.pid) is None


def test_who_handles_a_signal_and_who_does_not() -> None:
    assert handles(os.getpid(), signal.SIGINT)
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        assert not handles(sleeper.pid, signal.SIGTERM)
    finally:
        sleeper.kill()
        sleeper.wait()
    assert not handles(sleeper.pid, signal.SIGTERM)


def test_a_lock_is_waited_for_and_says_so(tmp_path: Path) -> None:
    told: list[str] = []
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "lock", told.append, "somebody"):
            order.append("second")

    with locked(tmp_path / "lock", told.append, "nobody"):
        thread = threading.Thread(target=second)
        thread.start()
        while not told:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert told == ["waiting for somebody"]
    assert order == ["first", "second"]


def test_a_lock_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from infra.cluster.processes import locked\n"
        "with locked(Path(sys.argv[1]), print, ''): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout as output:
        assert output.readline() == "held\n"
        assert is_locked(tmp_path / "lock")
        holder.kill()
        holder.wait()
    assert not is_locked(tmp_path / "lock")
    told: list[str] = []
    with locked(tmp_path / "lock", told.append, "a dead process"):
        assert told == []
