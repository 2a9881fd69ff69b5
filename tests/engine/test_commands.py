"""The commands as a user types them, as far as they need no cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
import yaml

from infra.cluster import Cluster, Report, silent
from infra.engine import direct
from infra.engine.record import REPOSITORY
from infra.engine.target import Target
from infra.errors import PlatformError


def mcpctl(*words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "200"} | ({"PATH": path} if path is not None else {})
    command = [sys.executable, "-m", "cli", *words]
    return subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("stack", "shown"), [("dev", set()), ("prod", {"exempted"})])
def test_an_offline_preview_needs_no_cluster_and_no_tools(stack: str, shown: set[str]) -> None:
    done = mcpctl("preview", "--stack", stack, "--offline", "--json", path="")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert {item["policy"] for item in plan["violations"]} == shown
    assert {step["action"] for step in plan["steps"]} == {"create"}
    assert plan["summary"]["create"] == len(plan["steps"]) > 25


def rendered(stack: str, folder: Path) -> tuple[set[str], str]:
    """The kinds of what is written, and what is said about the rest."""
    done = mcpctl("render", "--stack", stack, "--output", str(folder))
    assert done.returncode == 0, done.stderr
    return {yaml.safe_load(path.read_text())["kind"] for path in folder.glob("*.yaml")}, done.stderr


def test_rendered_files_are_objects_without_secrets(tmp_path: Path) -> None:
    kinds, said = rendered("dev", tmp_path / "out")
    assert {"Deployment", "StatefulSet", "NetworkPolicy"} <= kinds
    assert "Secret" not in kinds
    assert "not in there, to be provided by you" in said
    assert "Secret mcp-dev/redis-auth" in said


def test_where_secrets_come_from_a_store_nothing_is_left_to_provide(tmp_path: Path) -> None:
    kinds, said = rendered("prod", tmp_path / "out")
    assert "ExternalSecret" in kinds
    assert "Secret" not in kinds
    assert "to be provided by you" not in said
    assert "aws:s3/bucket:Bucket backups" in said


@pytest.mark.cluster
def test_a_rendered_chart_is_a_chart(tmp_path: Path, helm: Path) -> None:
    done = mcpctl("render", "--helm", "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    linted = subprocess.run([helm, "lint", tmp_path / "out"], capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("preview", "--stack", "nope", "--offline"), "there is no stack 'nope'"),
        (("down", "--allow-data-loss"), "--allow-data-loss needs --yes where nobody can be asked"),
        (("up", "--engine", "pulumi"), "pulumi is not on PATH"),
    ],
)
def test_a_wrong_command_is_one_line_and_exit_2(words: tuple[str, ...], message: str) -> None:
    done = mcpctl(*words, path="/usr/bin:/bin")
    assert done.returncode == 2
    assert f"error: {message}" in done.stderr.replace("stack nope: ", "")
    assert "Traceback" not in done.stderr


def test_down_of_a_cluster_that_was_never_made_is_fine_and_its_status_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_PLATFORM_HOME", str(tmp_path))
    done = mcpctl("down", "--yes")
    assert done.returncode == 0, done.stderr
    asked = mcpctl("status")
    assert asked.returncode == 2
    assert "error: there is no cluster default" in asked.stderr
    assert not list(tmp_path.iterdir())


def test_without_root_up_says_so_before_it_does_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    cluster = Cluster.named("mine", home=tmp_path)
    target = Target("dev", "mcp-dev", "mcp-mine", cluster.kubeconfig, cluster)
    steps: list[str] = []

    def step(title: str) -> AbstractContextManager[Report]:
        steps.append(title)
        return nullcontext(silent)

    with pytest.raises(PlatformError, match="needs root"):
        direct.up(direct.Options(stack="dev", target=target), step)
    assert not steps
    assert not list(tmp_path.iterdir())
