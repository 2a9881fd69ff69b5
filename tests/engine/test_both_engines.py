"""The two ways to run a program, where Pulumi's CLI is found: it with stand-ins for providers, and ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.engine import pulumi_cli, wire
from infra.engine.graph import Resource
from infra.engine.pulumi_cli import PulumiFailedError
from infra.engine.record import REPOSITORY, record
from tests.engine.stand_in_provider import CANARY

STACKS = ("dev", "docker", "prod")
with_cli = pytest.mark.skipif(
    pulumi_cli.find() is None,
    reason="the Pulumi CLI comes from its vendor's download site, and pulumi is not on PATH here",
)


@dataclass(frozen=True)
class Project:
    """The repository's program as a project of its own, whose providers are stand-ins."""

    folder: Path
    environment: Mapping[str, str]

    def pulumi(self, *arguments: str, ends: int = 0) -> str:
        command = ["pulumi", *arguments, "--non-interactive"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == ends, done.stdout + done.stderr
        return done.stdout + done.stderr if ends else done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder, plugins = tmp_path / "project", tmp_path / "plugins"
    folder.mkdir()
    plugins.mkdir()
    for path in (*REPOSITORY.glob("Pulumi*.yaml"), REPOSITORY / "infra", REPOSITORY / "access"):
        # Pulumi notes a stack's salt in its file.
        shutil.copy(path, folder) if path.is_file() else (folder / path.name).symlink_to(path)
    (folder / ".venv").symlink_to(sys.prefix)
    for package in ("aws", "docker", "docker-build", "kubernetes", "random", "tls"):
        plugin = plugins / f"pulumi-resource-{package}"
        plugin.write_text(f"#!/bin/sh\nexec {sys.executable} -m tests.engine.stand_in_provider\n")
        plugin.chmod(0o755)
    return Project(
        folder,
        {
            **os.environ,
            "PATH": f"{plugins}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "PULUMI_BACKEND_URL": f"file://{tmp_path}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_HOME": str(tmp_path / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        },
    )


def comparable(resource: Mapping[str, Any], stack: str) -> dict[str, Any]:
    """What both ways know of a resource, from a step of `pulumi preview --json`."""
    links = resource.get("propertyDependencies") or {}
    return {
        "inputs": known(resource.get("inputs", {})),
        "parent": "" if resource.get("parent") == stack else resource.get("parent", ""),
        "dependencies": sorted(resource.get("dependencies") or []),
        "property_dependencies": {key: sorted(urns) for key, urns in links.items() if urns},
        "protect": resource.get("protect", False),
        "retained": resource.get("retainOnDelete", False),
    }


def recorded(resource: Resource) -> dict[str, Any]:
    """The same of ours."""
    return {
        "inputs": known(wire.to_wire(resource.inputs)),
        "parent": resource.parent,
        "dependencies": list(resource.dependencies),
        "property_dependencies": {key: list(urns) for key, urns in resource.property_dependencies.items()},
        "protect": resource.options.get("protect", False),
        "retained": resource.options.get("retainOnDelete", False),
    }


def known(value: Any) -> Any:
    """A preview's values without the bookkeeping that Pulumi's SDK adds; secrets as it prints them."""
    if isinstance(value, dict):
        if value.get(wire.SIGNATURE) == wire.SECRET:
            return "[secret]"
        return {key: known(item) for key, item in value.items() if not key.startswith("__")}
    return [known(item) for item in value] if isinstance(value, list) else value


@with_cli
@pytest.mark.parametrize("stack", STACKS)
def test_both_ways_yield_the_same_resources(stack: str, project: Project) -> None:
    project.pulumi("stack", "init", stack)
    steps = json.loads(project.pulumi("preview", "--stack", stack, "--json"))["steps"]
    root = next(step["urn"] for step in steps if "::pulumi:pulumi:Stack::" in step["urn"])
    theirs = {step["urn"]: comparable(step["newState"], root) for step in steps if step["urn"] != root}
    ours = {resource.urn: recorded(resource) for resource in record(stack).resources}
    for urn in theirs:
        if "::pulumi:providers:" in urn:
            del theirs[urn]["inputs"]["version"]  # the plugin's, which only the engine chooses
    assert theirs == ours


@with_cli
@pytest.mark.parametrize("stack", STACKS)
def test_a_deployed_stack_is_unchanged_allowed_and_its_state_without_secrets(
    stack: str, project: Project
) -> None:
    pack = ("--policy-pack", str(REPOSITORY / "policies"))
    project.pulumi("stack", "init", stack)
    project.pulumi("up", "--stack", stack, "--yes", *pack)
    project.pulumi("preview", "--stack", stack, "--expect-no-changes", *pack)
    project.pulumi("refresh", "--stack", stack, "--yes", "--expect-no-changes")
    assert CANARY not in project.pulumi("stack", "export", "--stack", stack)
    revealed = project.pulumi("stack", "export", "--stack", stack, "--show-secrets")
    assert (CANARY in revealed) == (stack != "prod")  # whose secrets come from a store
    if stack == "prod":
        assert "protect" in project.pulumi("destroy", "--stack", stack, "--yes", ends=1)
        project.pulumi("state", "unprotect", "--all", "--yes", "--stack", stack)
    project.pulumi("destroy", "--stack", stack, "--yes")


@with_cli
def test_a_violated_policy_is_found_in_what_pulumi_reports(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    file = project.folder / "Pulumi.prod.yaml"
    file.write_text(file.read_text().replace("autoscaling: { min: 3,", "autoscaling: { min: 1,"))
    project.pulumi("stack", "init", "prod")
    with pytest.raises(PulumiFailedError, match="a mandatory policy is violated") as caught:
        pulumi_cli.run("preview", "prod", "--json", policies=True, project=project.folder)
    assert "min-replicas" in caught.value.violations[0].message
