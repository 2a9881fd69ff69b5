"""Programs that builds need and a machine may lack."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Final

from infra.cluster.report import Report
from infra.engine.build_process import output_of
from infra.errors import PlatformError

_APT: Final = ("apt-get", "-o", "DPkg::Lock::Timeout=300", "-q")


def ensure_program(program: str, packages: Sequence[str], report: Report) -> None:
    """Install Debian packages when a program is not on PATH.

    Raises:
        PlatformError: It is missing and can't be installed here.
    """
    if shutil.which(program):
        return
    command = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise PlatformError(
            f"there is no {program}, which building images without a Docker engine needs",
            hint=f"as root: {command}; or start a Docker engine",
        )
    report(f"installing {', '.join(packages)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    output_of([*_APT, "update"], what="apt-get update", env=env)
    output_of([*_APT, "install", "-y", "--no-install-recommends", *packages], what=command, env=env)
