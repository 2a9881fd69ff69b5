"""What is told of a build that failed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from infra.cluster.processes import Identity
from infra.engine.build_process import TAIL_LINES, CommandError, StepLog, build_steps, hint_for, output_of

BUILDAH = """\
[1/2] STEP 1/2: FROM localhost/base AS one
[1/2] STEP 2/2: RUN apt-get install -y     nothing
E: Unable to locate package nothing
error building at STEP "RUN apt-get install -y nothing": exit status 100
"""
BUILDKIT = """\
#5 [one 1/2] FROM docker.io/library/debian
#5 CACHED
#6 [one 2/2] RUN apt-get install -y nothing
#6 0.31 E: Unable to locate package nothing
#6 ERROR: process did not complete successfully: exit code: 100
#7 [stage-1 2/3] RUN sleep 1
#7 CANCELED
------
 > [one 2/2] RUN apt-get install -y nothing:
------
ERROR: failed to solve: exit code: 100
"""


@pytest.mark.parametrize(("output", "steps"), [(BUILDAH, 2), (BUILDKIT, 3)])
def test_the_step_that_failed_and_its_last_lines(output: str, steps: int) -> None:
    seen: list[str] = []
    log = StepLog(seen.append)
    for line in output.splitlines():
        log.feed(line)
    assert log.step == "RUN apt-get install -y nothing"
    assert "E: Unable to locate package nothing" in log.tail.splitlines()
    assert "sleep" not in log.tail
    assert len(seen) == steps


def test_only_the_last_lines_are_kept_and_long_steps_are_cut() -> None:
    log = StepLog(lambda _step: None)
    log.feed(f"STEP 1/1: RUN {'x' * 500}")
    for number in range(100):
        log.feed(f"line {number}")
    assert len(log.step) == 100
    assert log.tail.splitlines() == [f"line {number}" for number in range(100 - TAIL_LINES, 100)]


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        ("write /x: no space left on device", "free disk space"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "MCP_PLATFORM_CA_BUNDLE"),
        ("x509: certificate signed by unknown authority", "MCP_PLATFORM_CA_BUNDLE"),
        ("Temporary failure resolving 'deb.debian.org'", "HTTPS_PROXY"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "make lock"),
    ],
)
def test_a_known_cause_has_a_hint(output: str, hint: str) -> None:
    assert hint in hint_for(f"before\n{output}\nafter")


def test_an_unknown_cause_has_none() -> None:
    assert hint_for("segmentation fault") == ""


def test_a_command_that_fails_is_told_with_its_output() -> None:
    with pytest.raises(CommandError, match=r"frobbing failed \(exit code 3\)\nbroken"):
        output_of([sys.executable, "-c", "print('broken'); raise SystemExit(3)"], what="frobbing")


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(CommandError, match="frobbing failed: there is no frobnicate on PATH"):
        output_of(["frobnicate"], what="frobbing")


def test_a_command_that_takes_too_long_is_ended() -> None:
    with pytest.raises(CommandError, match="frobbing did not end within 1 s"):
        output_of(["sleep", "60"], what="frobbing", seconds=1)


def test_an_interrupted_build_leaves_no_process(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    begun = threading.Event()
    # A child that outlives its parent's end unless the whole group is ended.
    script = f'sleep 3000 & echo "$! $$" >{pids}; echo "STEP 1/1: RUN sleep"; '
    script += "while sleep 0.1; do echo still; done"  # a signal just before a read is noticed after it

    def interrupt() -> None:
        if begun.wait(60):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        build_steps(["sh", "-c", script], what="x", env=os.environ, on_step=lambda _step: begun.set())
    thread.join()
    deadline = time.monotonic() + 60
    while any(Identity.of(int(pid)) for pid in pids.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
