"""A fork is to its program what a start of its own is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fork_server import REPOSITORY, Forked, ForkServer

LOOK = """
import gc, json, os, pathlib, signal, sys

print(json.dumps({
    "name": __name__,
    "file": __file__,
    "arguments": sys.argv,
    "path": sys.path,
    "flags": list(sys.flags),
    "warnings": sys.warnoptions,
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "parent": os.getppid(),
    "group": os.getpgrp(),
    "session": os.getsid(0),
    "descriptors": {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)},
    "more descriptors": [fd for fd in range(3, 256) if pathlib.Path(f"/proc/self/fd/{fd}").exists()],
    "signals": {int(it): str(signal.getsignal(it)) for it in signal.valid_signals()},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "threads": len(os.listdir("/proc/self/task")),
    "collecting": gc.isenabled(),
    "buffered": [sys.stdout.line_buffering, sys.stderr.line_buffering, sys.stdout.encoding],
}))
print("said to stderr", file=sys.stderr)
sys.exit(3)
"""


@pytest.fixture(scope="module")
def forks() -> ForkServer:
    return ForkServer("json", "asyncio")


@pytest.fixture
def sleeping(forks: ForkServer, tmp_path: Path) -> Iterator[Forked]:
    program = tmp_path / "sleeping.py"
    program.write_text("import time\ntime.sleep(600)\n")
    with (tmp_path / "log").open("wb") as log:
        started = forks.start([str(program)], os.environ, log)
    yield started
    started.kill()
    started.wait()


def test_a_program_finds_what_it_would_find_if_it_were_started(forks: ForkServer, tmp_path: Path) -> None:
    program, log = tmp_path / "look.py", tmp_path / "log"
    program.write_text(LOOK)
    arguments = [str(program), "--one", "two words"]
    of_interpreter = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
    environment = {**of_interpreter, "LC_ALL": "C.UTF-8", "ONLY": "this\nö"}
    with log.open("wb") as output:
        started = subprocess.run(
            [sys.executable, *arguments],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    expected = seen(log)
    with log.open("wb") as output:
        forked = forks.start(arguments, environment, output)
    assert forked.wait(60) == started.returncode == 3
    assert seen(log) == expected
    assert expected["parent"] == os.getpid()
    assert expected["environment"]["ONLY"] == "this\nö"


def seen(log: Path) -> dict[str, Any]:
    looked, said = sorted(log.read_text().splitlines(), reverse=True)  # one is buffered, the other not
    return {**json.loads(looked), "said": said}


def test_a_module_is_run_as_the_program(forks: ForkServer, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        forked = forks.start(["-m", "json.tool", "--help"], os.environ, output)
    assert forked.wait(60) == 0
    assert "usage:" in log.read_text()


def test_what_a_program_dies_of_is_in_its_output(forks: ForkServer, tmp_path: Path) -> None:
    program, log = tmp_path / "broken.py", tmp_path / "log"
    program.write_text("import sys\nprint('begun')\nraise ValueError('spoilt')\n")
    with log.open("wb") as output:
        forked = forks.start([str(program)], os.environ, output)
    assert forked.wait(60) == 1
    assert f'File "{program}", line 3' in log.read_text()
    assert "ValueError: spoilt" in log.read_text()
    assert "begun" in log.read_text()


def test_a_fork_is_waited_for_and_ended_by_signals(sleeping: Forked) -> None:
    assert sleeping.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        sleeping.wait(0.01)
    sleeping.terminate()
    assert sleeping.wait(60) == -signal.SIGTERM
    assert sleeping.poll() == sleeping.wait(0) == -signal.SIGTERM
    sleeping.send_signal(signal.SIGTERM)  # to nobody


def test_each_fork_begins_anew(forks: ForkServer, tmp_path: Path) -> None:
    program = tmp_path / "changing.py"
    program.write_text("import json, random\nprint(hasattr(json, 'left'), random.random())\njson.left = 1\n")
    texts: list[str] = []
    for number in range(2):
        log = tmp_path / str(number)
        with log.open("wb") as output:
            assert forks.start([str(program)], os.environ, output).wait(60) == 0
        texts.append(log.read_text())
    assert all(text.startswith("False 0.") for text in texts)
    assert texts[0] != texts[1]


def test_a_module_that_can_not_be_loaded_is_told(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log, pytest.raises(AssertionError, match="ended with 1"):
        ForkServer("no_such_module").start(["-m", "json.tool"], os.environ, log)
    assert "No module named 'no_such_module'" in capfd.readouterr().err
