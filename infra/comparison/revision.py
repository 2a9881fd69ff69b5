"""Another revision of the project: its files as git has them, in a temporary folder."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.engine.process import Result, run
from infra.errors import PlatformError

_SHORT: Final = 12


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision.

    Attributes:
        name: What the user calls it, such as `main`; "" for the files as they are now.
        commit: The commit's hash, shortened; "" where there is none yet.
        root: The project's folder in it.
        changed: How many files differ from the commit; only files as they are now can.
    """

    name: str
    commit: str
    root: Path
    changed: int = 0

    @property
    def title(self) -> str:
        """`main (0123456789ab)`, or `the working tree (0123456789ab and 2 changed files)`."""
        if self.name:
            return f"{self.name} ({self.commit})"
        files = f" and {self.changed} changed file{'s' * (self.changed > 1)}" if self.changed else ""
        return f"the working tree ({self.commit or 'no commit'}{files})"


def working_tree(project: Path) -> Revision:
    """The project as it is on disk, with what is not committed yet.

    Raises:
        PlatformError: It is in no git repository.
    """
    _top(project)
    head = _git(project, "rev-parse", "--verify", "--quiet", "HEAD")
    changed = _git(project, "status", "--porcelain", "-z", "--no-renames", ".")
    return Revision("", head.out[:_SHORT], project, changed=changed.out.count("\0"))


@contextmanager
def checked_out(project: Path, name: str) -> Generator[Revision]:
    """The project at another revision, in a folder that is gone afterwards.

    Neither the repository's index nor its list of work trees is touched.

    Raises:
        PlatformError: No git repository, or no such revision in it.
    """
    top = _top(project)
    commit = _commit(project, name)
    with tempfile.TemporaryDirectory(prefix="mcpctl-revision-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        for step in (("read-tree", commit), ("checkout-index", "--all", f"--prefix={tree}/")):
            done = run(["git", "-C", top, *step], env=index)
            if done.code:
                raise PlatformError(f"git could not write out revision {name}: {done.err.strip()}")
        yield Revision(name, commit[:_SHORT], tree / project.resolve().relative_to(top))


def _top(project: Path) -> Path:
    done = _git(project, "rev-parse", "--show-toplevel")
    if done.code:
        raise PlatformError(
            f"{project} can't be compared with another revision: {done.err.strip()}",
            hint="run this in a clone of the project's git repository",
        )
    return Path(done.out.strip()).resolve()


def _commit(project: Path, name: str) -> str:
    done = _git(project, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if done.code:
        shallow = _git(project, "rev-parse", "--is-shallow-repository").out.strip() == "true"
        raise PlatformError(
            f"there is no revision {name!r} in {project}",
            hint="this clone is shallow: `git fetch --unshallow` brings the older commits"
            if shallow
            else "name a branch, tag or commit of this repository; `git fetch` brings those of the remote",
        )
    return done.out.strip()


def _git(project: Path, *words: str) -> Result:
    return run(["git", "-C", project, *words])
