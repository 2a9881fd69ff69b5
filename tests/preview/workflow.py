"""Runs a GitHub workflow's jobs here: every `run` step by bash as a runner does, actions by stand-ins."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.preview.repository import git

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


@dataclass
class Step:
    """How one `run` step ended."""

    name: str
    code: int
    out: str
    err: str


@dataclass
class Runner:
    """A machine for one run of a workflow.

    Attributes:
        workflow: The parsed file.
        repository: The bare repository that is checked out.
        folder: Where the jobs' folders and the artifacts are.
        event: What GitHub tells of the event.
        context: The values of expressions, by their text.
        environment: What a runner sets for every step.
    """

    workflow: dict[str, Any]
    repository: Path
    folder: Path
    event: dict[str, Any]
    context: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def read(cls, file: Path, **more: Any) -> Runner:
        return cls(cls.parse(file), **more)

    @staticmethod
    def parse(file: Path) -> dict[str, Any]:
        """All values as text; YAML 1.1 takes the key `on` for true otherwise."""
        return yaml.load(file.read_text(), Loader=yaml.BaseLoader)  # noqa: S506 - it makes nothing but text

    @property
    def summary(self) -> str:
        return (self.folder / "summary.md").read_text()

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    def job(self, name: str) -> list[Step]:
        """Run a job's steps up to the first that fails; then only those that run in spite of it."""
        workspace = self.folder / name
        ended: list[Step] = []
        for step in self.workflow["jobs"][name]["steps"]:
            failed = any(item.code for item in ended)
            if failed and step.get("if") != "${{ !cancelled() }}":
                continue
            if "uses" in step:
                self._action(step["uses"].partition("@")[0], step.get("with", {}), workspace)
            else:
                ended.append(self._run(step, workspace))
        return ended

    def _run(self, step: dict[str, Any], workspace: Path) -> Step:
        event = self.folder / "event.json"
        event.write_text(json.dumps(self.event))
        own = {name: self._filled(value) for name, value in step.get("env", {}).items()}
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "RUNNER_TEMP": str(_temporary(workspace)),
            "PYTHONPATH": str(workspace),  # what is installed in the tests' environment is this checkout
            **self.environment,
            **own,
        }
        script = self.folder / "step.sh"
        script.write_text(step["run"])
        assert not _EXPRESSION.search(step["run"]), "an expression is run as code"
        done = subprocess.run(
            ["bash", "-e", script],
            cwd=workspace,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return Step(step.get("name", ""), done.returncode, done.stdout, done.stderr)

    def _action(self, name: str, given: dict[str, str], workspace: Path) -> None:
        if name == "actions/checkout":
            self._check_out(given, workspace)
        elif name == "actions/upload-artifact":
            path = Path(given["path"].replace("${{ runner.temp }}", str(_temporary(workspace))))
            if path.exists():
                shutil.copytree(path, self.artifacts / given["name"])
        elif name == "actions/download-artifact":
            for found in self.artifacts.glob(given.get("pattern") or given["name"]):
                shutil.copytree(found, workspace / given["path"], dirs_exist_ok=True)
        elif name != "actions/setup-python":
            raise AssertionError(f"no stand-in for {name}")

    def _check_out(self, given: dict[str, str], workspace: Path) -> None:
        assert given["persist-credentials"] == "false"
        depth = given.get("fetch-depth", "1")
        git(self.folder, "init", "--quiet", str(workspace))
        wanted = self._filled(given["ref"]) if "ref" in given else "refs/pull/7/merge"
        git(workspace, "fetch", "--quiet", f"--depth={depth}", f"file://{self.repository}", wanted)
        git(workspace, "checkout", "--quiet", "FETCH_HEAD")
        # `make .venv/.ready` has nothing to do: the tests' own environment stands for what it would install.
        _temporary(workspace).mkdir()
        (workspace / ".venv").mkdir()
        (workspace / ".venv/bin").symlink_to(Path(sys.executable).parent)
        (workspace / ".venv/.ready").touch()

    def _filled(self, text: str) -> str:
        return _EXPRESSION.sub(lambda found: self.context[found[1]], text)


def _temporary(workspace: Path) -> Path:
    return workspace.with_suffix(".temporary")
