"""One version, said in two places."""

import tomllib
from pathlib import Path

from services.kit.version import VERSION


def test_it_is_the_projects() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION
