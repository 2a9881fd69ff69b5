from __future__ import annotations

from pathlib import Path

import pytest

from infra.comparison.revision import checked_out, working_tree
from infra.errors import PlatformError
from tests.preview.repository import commit, git, make, write


def test_another_revision_is_there_as_it_was_and_leaves_no_trace(tmp_path: Path) -> None:
    root = make(tmp_path / "r")
    first = git(root, "rev-parse", "HEAD")
    write(root, "print(2)")
    (root / "run").symlink_to("__main__.py")
    commit(root)
    write(root, "print(3)")
    before = git(root, "status", "--porcelain"), (root / ".git/index").read_bytes()
    with checked_out(root, "main~1") as revision:
        assert revision.commit == first[:12]
        assert "StatefulSet" in (revision.root / "__main__.py").read_text()
        assert not (revision.root / "run").exists()
        folder = revision.root
    with checked_out(root, "main") as revision:
        assert (revision.root / "run").is_symlink()
    assert not folder.exists()
    assert (git(root, "status", "--porcelain"), (root / ".git/index").read_bytes()) == before
    assert git(root, "worktree", "list").count("\n") == 0


def test_a_project_below_the_repositorys_top_is_found_in_the_revision(tmp_path: Path) -> None:
    root = make(tmp_path / "r")
    make_below = root / "deploy"
    make_below.mkdir()
    write(make_below)
    commit(root)
    with checked_out(make_below, "HEAD") as revision:
        assert (revision.root / "Pulumi.yaml").is_file()
        assert revision.root.name == "deploy"


@pytest.mark.parametrize("name", ["nope", "--help", "-n", "main..main", "HEAD:Pulumi.yaml", "main@{9}", ""])
def test_an_unknown_revision_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    root = make(tmp_path / "r")
    with pytest.raises(PlatformError, match="there is no revision") as error, checked_out(root, name):
        pass
    assert repr(name) in str(error.value)


def test_a_shallow_clone_is_told_how_to_get_the_rest(tmp_path: Path) -> None:
    root = make(tmp_path / "r")
    commit(root, "second")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{root}", str(shallow))
    with pytest.raises(PlatformError) as error, checked_out(shallow, "HEAD^1"):
        pass
    assert "git fetch --unshallow" in error.value.hint


def test_what_is_not_committed_is_counted(tmp_path: Path) -> None:
    root = make(tmp_path / "r")
    assert working_tree(root).changed == 0
    (root / "new.py").write_text("")
    write(root, "print(2)")
    revision = working_tree(root)
    assert revision.changed == 2
    assert revision.title == f"the working tree ({revision.commit} and 2 changed files)"


def test_a_folder_that_is_no_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="can't be compared with another revision"):
        working_tree(tmp_path)
