"""What linters say about a folder of YAML files, with all of their checks switched on."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.cluster.modules import KUBERNETES_VERSION
from tests.linters.programs import checkov, kube_score

_BEST_GRADE = 10  # kube-score's, from 1


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that a linter has against one object."""

    linter: str
    check: str
    target: str  # Kind/name
    message: str


def ask_kube_score(folder: Path) -> list[Finding]:
    """Each comment of each check that an object doesn't wholly pass."""
    program = str(kube_score())
    version = KUBERNETES_VERSION.rpartition(".")[0]
    options = [f"--enable-optional-test={check}" for check in _optional_checks(program)]
    command = [program, "score", "--output-format=json", f"--kubernetes-version={version}", *options]
    objects = _answer(*command, *map(str, _files(folder)))
    found: list[Finding] = []
    for item in objects:
        target = f"{item['type_meta']['kind']}/{item['object_meta']['name']}"
        for check in item["checks"]:
            if check["grade"] < _BEST_GRADE and not check["skipped"]:
                said = [f"{comment['path']}: {comment['summary']}" for comment in check["comments"] or ()]
                found.append(Finding("kube-score", check["check"]["id"], target, "; ".join(said)))
    return found


def ask_checkov(folder: Path) -> list[Finding]:
    """Each check that an object fails; what can't be parsed would be passed over otherwise."""
    command = [str(checkov()), "--directory", str(folder), "--framework=kubernetes"]
    answer = _answer(*command, "--output=json", "--compact", "--quiet", "--skip-download")
    assert answer["summary"]["parsing_errors"] == 0
    found: list[Finding] = []
    for item in answer["results"]["failed_checks"]:
        kind, _, rest = item["resource"].partition(".")
        target = f"{kind}/{rest.rpartition('.')[2]}"
        found.append(Finding("checkov", item["check_id"], target, item["check_name"]))
    return found


def _optional_checks(program: str) -> list[str]:
    listed = subprocess.run([program, "list"], capture_output=True, text=True, check=True).stdout
    return [line.partition(",")[0] for line in listed.splitlines() if line.endswith(",optional")]


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.yaml"))
    assert files
    return files


def _answer(*command: str) -> Any:
    """A linter's JSON; its exit code is 1 where there are findings."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode in {0, 1}, done.stderr
    return json.loads(done.stdout)
