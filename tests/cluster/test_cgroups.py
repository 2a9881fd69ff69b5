from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from infra.cluster import cgroups


def test_groups_that_end_while_they_are_listed_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pods' groups go one by one while a cluster waits for the last of them."""
    pods = tmp_path / "mcp-a" / "kubepods"
    for name, number in (("ending", 11), ("lasting", 22)):
        (pods / name / "container").mkdir(parents=True)
        (pods / name / "container" / "cgroup.procs").write_text(f"{number}\n")
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [(cgroups.CGROUP2, tmp_path)])
    assert cgroups.processes("mcp-a") == {11, 22}
    scan = os.scandir

    def ends_at_once(path: object) -> object:
        if str(path) == str(pods / "ending"):
            shutil.rmtree(pods / "ending")
        return scan(path)  # pyright: ignore[reportArgumentType, reportCallIssue] - whatever it was given

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", ends_at_once)
        assert cgroups.processes("mcp-a") == {22}
    assert cgroups.processes("mcp-b") == set()
