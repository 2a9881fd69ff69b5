from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import cli.app
from cli.main import main

REPOSITORY = Path(__file__).resolve().parents[2]


def raising(error: BaseException) -> object:
    def app() -> None:
        raise error

    return app


def no_signals(_number: int, _handler: object) -> None:
    """The test's own handlers stay."""


def ending(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> tuple[object, str]:
    """The exit code and the messages of an mcpctl whose command raises `error`."""
    monkeypatch.setattr(cli.app, "app", raising(error))
    monkeypatch.setattr(signal, "signal", no_signals)
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capfd.readouterr().err


def test_a_machine_that_refuses_is_one_line_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    full = OSError(errno.ENOSPC, "", "/data/x")
    code, said = ending(full, monkeypatch, capfd)
    assert code == 2
    assert said.startswith("error: /data/x: No space left on device\nhint: make space")


@pytest.mark.parametrize("error", [RuntimeError("of ours"), FileNotFoundError(errno.ENOENT, "of ours", "/x")])
def test_a_defect_shows_its_place_and_is_not_taken_for_a_violated_policy(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, said = ending(error, monkeypatch, capfd)
    assert code == 2
    assert "Traceback" in said
    assert "of ours" in said


def test_a_module_that_is_not_python_is_told_by_its_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What mcpctl imports is the program, too: somebody may just be changing it."""
    wrong = SyntaxError("invalid decimal literal", ("/r/infra/naming.py", 118, 9, "def 1x", 118, 10))
    code, said = ending(wrong, monkeypatch, capfd)
    assert (code, said) == (2, "error: /r/infra/naming.py:118: SyntaxError: invalid decimal literal\n")


def test_a_place_that_can_not_be_written_is_named() -> None:
    command = [sys.executable, "-m", "cli", "render", "--output", "/sys/mcp-platform"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "error: /sys/mcp-platform: " in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_at_a_terminal_ends_everything_with_one_line() -> None:
    """A terminal sends the signal to every process of the foreground, so to our children, too."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "cli", "preview", "--offline"],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("evaluate the program"):
                break
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert rest == "interrupted; run the same command again to go on from here\n"
