"""Rules that every Dockerfile of ours keeps."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from infra.versions import BASE_IMAGE
from services.kit.conventions import MCP_PORT, OPS_PORT, RUN_AS_USER

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKERFILES = sorted([REPOSITORY / "services/Dockerfile", *REPOSITORY.glob("infra/images/*/Dockerfile")])
ENTRYPOINTS = sorted(REPOSITORY.glob("infra/images/*/entrypoint"))

every_dockerfile = pytest.mark.parametrize(
    "path", DOCKERFILES, ids=[str(path.relative_to(REPOSITORY)) for path in DOCKERFILES]
)


def instructions(path: Path) -> list[tuple[str, str]]:
    """Instructions in order, continuation lines joined and comments left out."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n", " ", "\n".join(lines))
    return [(line.split()[0], " ".join(line.split()[1:])) for line in text.splitlines() if line.strip()]


def last_stage(path: Path) -> list[tuple[str, str]]:
    found = instructions(path)
    start = max(number for number, (word, _) in enumerate(found) if word == "FROM")
    return found[start:]


@every_dockerfile
def test_the_default_base_is_the_platforms_pinned_one(path: Path) -> None:
    assert instructions(path)[0] == ("ARG", f"BASE={BASE_IMAGE}")
    assert re.search(r"@sha256:[0-9a-f]{64}$", BASE_IMAGE)


@every_dockerfile
def test_every_stage_starts_from_the_base_or_an_earlier_stage(path: Path) -> None:
    stages: set[str] = set()
    for word, rest in instructions(path):
        if word == "FROM":
            source, *name = rest.split(" AS ")
            assert source == "${BASE}" or source in stages
            stages.update(name)


@every_dockerfile
def test_it_runs_as_a_numeric_user_that_is_not_root(path: Path) -> None:
    users = [rest for word, rest in last_stage(path) if word == "USER"]
    assert users == [f"{RUN_AS_USER}:{RUN_AS_USER}"]


@every_dockerfile
def test_it_says_how_to_start_it_and_whether_it_is_healthy(path: Path) -> None:
    words = [word for word, _ in last_stage(path)]
    assert words.count("ENTRYPOINT") == words.count("HEALTHCHECK") == 1
    assert next(rest for word, rest in last_stage(path) if word == "ENTRYPOINT").startswith("[")


@every_dockerfile
def test_it_is_labelled_last_so_that_a_revision_changes_no_layer(path: Path) -> None:
    found = instructions(path)
    word, labels = found[-1]
    assert word == "LABEL"
    for key in ("title", "description", "licenses", "source", "version", "revision"):
        assert f"org.opencontainers.image.{key}=" in labels
    first = next(number for number, (_, rest) in enumerate(found) if rest.startswith("REVISION"))
    assert {word for word, _ in found[first:]} == {"ARG", "LABEL"}


@every_dockerfile
def test_packages_come_without_recommendations_and_leave_no_lists(path: Path) -> None:
    for word, rest in instructions(path):
        assert word != "ADD"
        if word == "RUN" and "apt-get install" in rest:
            assert "apt-get update" in rest
            assert "--no-install-recommends" in rest
        if word == "RUN" and "pip" in rest and "install --quiet" in rest:
            assert "--require-hashes" in rest
            assert "--only-binary :all:" in rest
    for word, rest in last_stage(path):
        if word == "RUN" and "apt-get install" in rest:
            assert "rm -rf /var/lib/apt/lists/*" in rest


def test_the_services_image_exposes_the_ports_that_services_listen_on() -> None:
    assert ("EXPOSE", f"{MCP_PORT} {OPS_PORT}") in last_stage(REPOSITORY / "services/Dockerfile")


@pytest.mark.parametrize("path", ENTRYPOINTS, ids=[path.parent.name for path in ENTRYPOINTS])
def test_entry_points_are_posix_shell_and_executable(path: Path) -> None:
    assert path.read_text().startswith("#!/bin/sh\n")
    assert path.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", str(path)], check=True)
