"""The two ways to run a program, held together where Pulumi's CLI is found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.engine import pulumi_cli
from infra.engine.pulumi_cli import PulumiFailedError
from infra.engine.record import REPOSITORY, record
from infra.errors import PlatformError

NO_CLI = (
    "the Pulumi CLI and its providers come from their vendor's download site, and pulumi is not on PATH here"
)


@pytest.mark.skipif(pulumi_cli.find() is None, reason=NO_CLI)
@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_both_ways_yield_the_same_objects(stack: str, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(REPOSITORY, project, ignore=shutil.ignore_patterns(".git", ".venv", "*.egg-info"))
    env = {
        **os.environ,
        "PULUMI_BACKEND_URL": f"file://{tmp_path}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_PYTHON_CMD": str(REPOSITORY / ".venv/bin/python"),
    }

    def pulumi(*arguments: str) -> str:
        command = ["pulumi", *arguments, "--non-interactive"]
        return subprocess.run(
            command, cwd=project, env=env, check=True, capture_output=True, text=True
        ).stdout

    pulumi("stack", "init", stack)
    steps = json.loads(pulumi("preview", "--stack", stack, "--json"))["steps"]
    theirs = {step["urn"]: step["newState"].get("inputs", {}) for step in steps}
    ours = {resource.urn: resource.inputs for resource in record(stack).resources}
    assert set(theirs) - {urn for urn in theirs if "pulumi:pulumi:Stack" in urn} == set(ours)
    for urn, inputs in ours.items():
        if "$kubernetes:" in urn and not urn.rpartition("::")[0].endswith(":Secret"):
            assert known(theirs[urn]) == inputs


def known(value: Any) -> Any:
    """Pulumi's preview without the bookkeeping that its SDK adds."""
    if isinstance(value, dict):
        return {key: known(item) for key, item in value.items() if not key.startswith("__")}
    return [known(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the CLI that notes its arguments and ends as the file `end` says."""
    program = tmp_path / "pulumi"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n. {tmp_path}/end\n')
    program.chmod(0o755)
    (tmp_path / "end").write_text("exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_the_cli_gets_the_stack_and_the_policies(cli: Path) -> None:
    pulumi_cli.run("up", "dev", "--yes", policies=True)
    arguments = (cli / "arguments").read_text().split()
    assert arguments[:4] == ["up", "--stack", "dev", "--non-interactive"]
    assert arguments[4:] == ["--policy-pack", str(REPOSITORY / "policies"), "--yes"]


def test_a_violated_policy_is_told_from_an_error(cli: Path) -> None:
    (cli / "end").write_text("echo '  [mandatory]  mcp-platform v0.1.0  no-latest (gateway)'; exit 255")
    with pytest.raises(PulumiFailedError, match="a mandatory policy is violated") as caught:
        pulumi_cli.run("preview", "dev", policies=True)
    assert caught.value.violated
    (cli / "end").write_text("exit 255")
    with pytest.raises(PulumiFailedError, match="exit code 255") as caught:
        pulumi_cli.run("preview", "dev", policies=True)
    assert not caught.value.violated


def test_a_missing_cli_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PlatformError, match="pulumi is not on PATH"):
        pulumi_cli.run("up", "dev", policies=True)
