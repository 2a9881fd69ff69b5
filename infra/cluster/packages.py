"""Programs that a machine may lack, and the Debian packages that bring them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from infra.cluster.report import Report, last_lines
from infra.cluster.spec import home
from infra.errors import PlatformError

# A machine that has just started may be installing its updates.
_APT: Final = ("apt-get", "-o", "DPkg::Lock::Timeout=300", "-q")


def ensure(programs: Mapping[str, Sequence[str]], report: Report, why: str) -> None:
    """Install what is not on PATH.

    Args:
        programs: Each program, and the packages that bring it.
        report: Takes lines of progress.
        why: What needs them.

    Raises:
        PlatformError: Some are missing and can't be installed here.
    """
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    packages = [package for program in missing for package in programs[program]]
    by_hand = f"as root: apt-get install --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise PlatformError(f"there is no {', no '.join(missing)}, which {why} needs", hint=by_hand)
    with _alone():
        report(f"installing {', '.join(packages)}")
        updated = _apt("update")
        installed = _apt("install", "-y", "--no-install-recommends", *packages)
    if installed.returncode != 0:
        # A list that can't be renewed is often the reason, and often only that of a source nobody needs.
        said = "\n".join(last_lines(done.stderr, 5) for done in (updated, installed) if done.returncode)
        raise PlatformError(
            f"apt-get could not install {', '.join(packages)}, which {why} needs:\n{said}",
            hint=f"are Debian's packages reached? {by_hand}",
        )


@contextmanager
def _alone() -> Generator[None]:
    """One of us at a time: apt's lists have a lock that it doesn't wait for."""
    home().mkdir(parents=True, exist_ok=True)
    with (home() / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _apt(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    return subprocess.run([*_APT, *arguments], capture_output=True, text=True, env=environment, check=False)
