"""Graphs for tests that only read them: what was evaluated once in a run is not evaluated again."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.engine import project as projects
from infra.engine.graph import Graph
from infra.engine.record import REPOSITORY, record

_ANSWERS: dict[str, bytes] = {}


def evaluated(
    stack: str,
    *,
    project: Path = REPOSITORY,
    dry_run: bool = True,
    generated: Mapping[str, Mapping[str, Any]] | None = None,
) -> Graph:
    """As `record`, but remembered by all that the program reads and this process can change.

    Each caller gets a graph of its own. A test about evaluation itself asks `record`.
    """
    asked = _asked(stack, project, dry_run, generated or {})
    answer = _ANSWERS.get(asked)
    if answer is None:
        answer = pickle.dumps(record(stack, project=project, dry_run=dry_run, generated=generated))
        if project == REPOSITORY or str(project).encode() not in answer:
            _ANSWERS[asked] = answer
    return pickle.loads(answer)  # noqa: S301 - our own bytes


def _asked(stack: str, project: Path, dry_run: bool, generated: Mapping[str, Mapping[str, Any]]) -> str:
    settings = projects.load(project, stack)
    beside: dict[str, str] = {}
    if project != REPOSITORY:
        beside = {
            str(path.relative_to(project)): path.read_bytes().hex()
            for path in sorted(project.rglob("*"))
            if path.is_file()
        }
    asked = [stack, settings.name, str(settings.program), dict(settings.config), beside, dry_run, generated]
    return json.dumps(asked, sort_keys=True)
