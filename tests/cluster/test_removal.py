from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from infra.cluster.removal import mounts_below, remove_tree
from infra.errors import PlatformError

Mount = Callable[[Path], None]


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file of somebody else's."""
    file = tmp_path / "elsewhere" / "file"
    file.parent.mkdir()
    file.touch()
    return file


@pytest.fixture
def mount(precious: Path) -> Iterator[Mount]:
    """Mounts somebody else's folder in a place; unmounted after the test."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    with ExitStack() as stack:

        def bind(place: Path) -> None:
            place.mkdir(parents=True)
            subprocess.run(["mount", "--bind", precious.parent, place], check=True)
            stack.callback(subprocess.run, ["umount", "--lazy", place], capture_output=True, check=False)

        yield bind


def test_what_is_mounted_in_a_removed_directory_stays_whole(
    tmp_path: Path, precious: Path, mount: Mount
) -> None:
    place = tmp_path / "home" / "with a blank"
    mount(place)
    assert mounts_below(tmp_path / "home") == [place]
    remove_tree(tmp_path / "home")
    assert not (tmp_path / "home").exists()
    assert precious.exists()


def test_what_is_in_use_is_named_and_nothing_is_removed(tmp_path: Path, precious: Path, mount: Mount) -> None:
    place = tmp_path / "home" / "busy"
    mount(place)
    with (place / "file").open(), pytest.raises(PlatformError, match="busy is mounted and in use"):
        remove_tree(tmp_path / "home")
    assert precious.exists()


def test_only_the_link_to_a_directory_is_removed(tmp_path: Path, precious: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(precious.parent)
    remove_tree(link)
    assert not link.is_symlink()
    assert precious.exists()


def test_a_directory_that_is_not_there_is_fine(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")
