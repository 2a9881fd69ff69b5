from __future__ import annotations

import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from infra.engine.process import run, run_watched
from infra.errors import PlatformError

SECONDS = 120


def test_a_program_reads_and_answers() -> None:
    result = run([sys.executable, "-c", "print(input().upper())"], stdin="abc\n")
    assert (result.code, result.out) == (0, "ABC\n")


def test_a_large_input_arrives_whole() -> None:
    code = "import sys, time; time.sleep(1); print(len(sys.stdin.read()))"
    assert run([sys.executable, "-c", code], stdin="x" * 1_000_000).out == "1000000\n"


def test_a_watched_program_is_looked_at_once_a_second_until_it_ends(tmp_path: Path) -> None:
    looks = [time.monotonic()]

    def watch() -> bool:
        looks.append(time.monotonic())
        if len(looks) == 3:
            (tmp_path / "end").touch()
        return True

    code = "import sys, time; from pathlib import Path\n"
    code += "while not Path(sys.argv[1]).exists(): time.sleep(0.05)\nprint('x')"
    result = run_watched([sys.executable, "-c", code, tmp_path / "end"], timeout=SECONDS, watch=watch)
    assert result.out == "x\n"
    assert len(looks) >= 3
    assert all(later - earlier > 0.9 for earlier, later in pairwise(looks))


def test_a_program_that_hangs_is_interrupted() -> None:
    started = time.monotonic()
    with pytest.raises(PlatformError, match=r"-c did not finish within 1 s"):
        run([sys.executable, "-c", "import time; time.sleep(600)"], timeout=1)
    assert time.monotonic() - started < 300


def test_a_watch_may_end_the_wait_and_the_program_may_tidy_up(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    code = "import sys, time\ntry: open(sys.argv[1], 'w'); time.sleep(600)\n"
    code += "except KeyboardInterrupt: print('tidy')"
    command = [sys.executable, "-c", code, begun]
    result = run_watched(command, timeout=SECONDS, watch=lambda: not begun.exists())
    assert result.out == "tidy\n"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(PlatformError, match="/nowhere/kubectl is not there"):
        run(["/nowhere/kubectl", "get"])
