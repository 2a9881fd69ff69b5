"""A user's checkout: a copy of the project whose stack file a test may edit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
STACK = "dev"


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Checkout:
    """A copy of the project, its own kubeconfig, and an embedded cluster of its own name."""

    root: Path
    cluster: str

    @classmethod
    def copy_to(cls, folder: Path, cluster: str) -> Checkout:
        # Root may run the tests in a checkout of somebody else's, of which git wants to be told.
        git = ["git", "-c", "safe.directory=*"]
        listed = [*git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
        root = folder / "mcp-platform"
        for name in filter(None, names.split("\0")):
            source, target = REPOSITORY / name, root / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        checkout = cls(root, cluster)
        checkout.edit(lambda config: config["cluster"].update(embedded=cluster))
        return checkout

    def edit(self, change: Callable[[dict[str, Any]], object], stack: str = STACK) -> None:
        """Change a stack's settings, by their keys without the project's prefix; a new one begins as dev."""
        file = self.root / f"Pulumi.{stack}.yaml"
        content = yaml.safe_load((file if file.exists() else self.root / f"Pulumi.{STACK}.yaml").read_text())
        prefix = "mcp-platform:"
        config = {key.removeprefix(prefix): value for key, value in content["config"].items()}
        change(config)
        content["config"] = {prefix + key: value for key, value in config.items()}
        file.write_text(yaml.safe_dump(content))

    def mcpctl(self, *words: str, timeout: float = 900) -> Result:
        """Run mcpctl from this copy, whatever comes of it."""
        kubeconfig = str(self.root / "kubeconfig")
        env = {**os.environ, "PYTHONPATH": str(self.root), "KUBECONFIG": kubeconfig, "COLUMNS": "200"}
        command = [sys.executable, "-m", "cli", *words]
        done = subprocess.run(
            command, cwd=self.root, env=env, capture_output=True, text=True, check=False, timeout=timeout
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def must(self, *words: str, timeout: float = 900) -> Result:
        """Run mcpctl and expect success."""
        result = self.mcpctl(*words, timeout=timeout)
        assert result.code == 0, (
            f"mcpctl {' '.join(words)} ended with {result.code}:\n{result.out}\n{result.err}"
        )
        return result
