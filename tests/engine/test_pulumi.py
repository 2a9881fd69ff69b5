"""How Pulumi's CLI is chosen, called and understood, by a stand-in for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.stack import Engine, uses_pulumi
from infra.engine import pulumi_cli
from infra.engine.pulumi_cli import PulumiFailedError
from infra.engine.record import REPOSITORY
from infra.errors import PlatformError


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the CLI that notes its arguments and ends as the file `end` says."""
    program = tmp_path / "pulumi"
    program.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$@" > {tmp_path}/arguments\n'
        'while [ $# -gt 0 ]; do if [ "$1" = --event-log ]; then events=$2; fi; shift; done\n'
        f". {tmp_path}/end\n"
    )
    program.chmod(0o755)
    (tmp_path / "end").write_text("exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def event(level: str) -> str:
    about = {"resourceUrn": "urn:pulumi:dev::p::t::gateway", "policyName": "image-tag", "severity": "high"}
    return json.dumps({"policyEvent": {**about, "message": "no latest", "enforcementLevel": level}})


def test_the_cli_gets_the_stack_and_the_policies(cli: Path) -> None:
    pulumi_cli.run("up", "dev", "--yes", policies=True)
    arguments = (cli / "arguments").read_text().splitlines()
    assert arguments[:4] == ["up", "--stack", "dev", "--non-interactive"]
    assert arguments[4:7] == ["--policy-pack", str(REPOSITORY / "policies"), "--event-log"]
    assert arguments[8:] == ["--yes"]


def test_a_violated_policy_is_told_from_an_error(cli: Path) -> None:
    (cli / "end").write_text(f"printf '%s\\n' '{event('advisory')}' '{event('mandatory')}' > $events; exit 1")
    with pytest.raises(PulumiFailedError, match="a mandatory policy is violated") as caught:
        pulumi_cli.run("preview", "dev", policies=True)
    assert [item.message for item in caught.value.violations] == ["no latest"]
    (cli / "end").write_text(f"printf '%s\\n' '{event('advisory')}' > $events; exit 1")
    with pytest.raises(PulumiFailedError, match="exit code 1") as caught:
        pulumi_cli.run("preview", "dev", policies=True)
    assert not caught.value.violations


def mcpctl(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", *words]
    env = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)


def test_in_json_a_violation_is_said_beside_it_and_exit_1(cli: Path) -> None:
    (cli / "end").write_text(f"echo '{{}}'; echo '{event('mandatory')}' > $events; exit 1")
    done = mcpctl("preview", "--stack", "prod", "--json")
    assert (done.returncode, done.stdout) == (1, "{}\n"), done.stderr
    assert "image-tag: no latest" in done.stderr


@pytest.mark.parametrize(("code", "hint"), [(3, "pulumi login"), (6, "pulumi stack init prod")])
def test_without_a_login_or_the_stack_it_is_said_what_to_do(code: int, hint: str, cli: Path) -> None:
    (cli / "end").write_text(f"exit {code}")
    done = mcpctl("preview", "--stack", "prod")
    assert done.returncode == 2
    assert hint in done.stderr


@pytest.mark.usefixtures("cli")
def test_a_stack_of_this_machine_alone_is_not_pulumis_unless_asked() -> None:
    chosen = {stack: uses_pulumi(Engine.AUTO, stack) for stack in ("dev", "docker", "prod")}
    assert chosen == {"dev": False, "docker": False, "prod": True}
    assert uses_pulumi(Engine.PULUMI, "dev")
    assert not uses_pulumi(Engine.DIRECT, "prod")


def test_a_missing_cli_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PlatformError, match="pulumi is not on PATH"):
        pulumi_cli.run("up", "dev", policies=True)
