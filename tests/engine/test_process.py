from __future__ import annotations

import sys
import time

import pytest

from infra.engine.process import run, run_watched
from infra.errors import PlatformError


def test_a_program_reads_and_answers() -> None:
    result = run([sys.executable, "-c", "print(input().upper())"], stdin="abc\n")
    assert (result.code, result.out) == (0, "ABC\n")


def test_a_large_input_arrives_whole() -> None:
    code = "import sys, time; time.sleep(1); print(len(sys.stdin.read()))"
    assert run([sys.executable, "-c", code], stdin="x" * 1_000_000).out == "1000000\n"


def test_a_watched_program_is_looked_at_until_it_ends() -> None:
    looks: list[int] = []

    def watch() -> bool:
        looks.append(1)
        return True

    result = run_watched(
        [sys.executable, "-c", "import time; time.sleep(2.5); print('x')"], timeout=20, watch=watch
    )
    assert result.out == "x\n"
    assert 1 <= len(looks) <= 3


def test_a_program_that_hangs_is_interrupted() -> None:
    started = time.monotonic()
    with pytest.raises(PlatformError, match=r"-c did not finish within 1 s"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=1)
    assert time.monotonic() - started < 15


def test_a_watch_may_end_the_wait_and_the_program_may_tidy_up() -> None:
    code = "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('tidy')"
    result = run_watched([sys.executable, "-c", code], timeout=20, watch=lambda: False)
    assert result.out == "tidy\n"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(PlatformError, match="/nowhere/kubectl is not there"):
        run(["/nowhere/kubectl", "get"])
