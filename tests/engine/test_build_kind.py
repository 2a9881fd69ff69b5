"""Images for a kind cluster. kind itself needs node images from a registry; a recording program stands in."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.cluster import silent
from infra.engine.build_kind import kind_cluster, load
from infra.errors import PlatformError


def stand_in(folder: Path, script: str) -> None:
    kind = folder / "kind"
    kind.write_text(f"#!/bin/sh\n{script}\n")
    kind.chmod(0o755)


def test_only_contexts_of_kind_name_a_kind_cluster() -> None:
    assert kind_cluster("kind-dev") == "dev"
    assert kind_cluster("mcp-default") is None


def test_all_images_are_loaded_by_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, f'echo "$@" > {tmp_path}/words')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    load(["localhost/a:1", "localhost/b:2"], "dev", silent)
    assert (tmp_path / "words").read_text() == "load docker-image localhost/a:1 localhost/b:2 --name dev\n"


def test_a_failure_says_what_kind_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, 'echo "no nodes found for cluster" >&2; exit 1')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(PlatformError, match="no nodes found for cluster"):
        load(["localhost/a:1"], "dev", silent)


def test_without_kind_the_error_says_what_else_can_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PlatformError) as caught:
        load(["localhost/a:1"], "dev", silent)
    assert "images.registry" in caught.value.hint
