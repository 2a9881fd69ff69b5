"""Programs in Go that tests need and no package has: built once a version of their sources, then kept."""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from pathlib import Path

from infra.cluster import silent
from infra.cluster.building import install
from infra.cluster.golang import find_go
from infra.cluster.modules import Module
from infra.cluster.processes import locked
from infra.cluster.spec import home


@cache
def built(module: Module, name: str) -> Path:
    """The path of a module's program; earlier versions are removed. The first build may take minutes."""
    kept = home() / "tools" / "tests"
    folder = kept / f"{module.name}-{_version(module)}"
    program, done = folder / name, folder / "built"
    with locked(kept / f"{module.name}.lock", silent, f"another build of {module.name}"):
        if not done.exists():
            for earlier in kept.glob(f"{module.name}-*"):
                shutil.rmtree(earlier)
            install(find_go(home(), silent), module, folder, silent, "")
            assert program.exists(), f"{module.directory} has no program {name}"
            done.touch()
    return program


def _version(module: Module) -> str:
    """A hash of what is built and how."""
    digest = hashlib.sha256(repr(module.flags).encode())
    for path in sorted(module.directory.glob("*")):
        if path.suffix in {".go", ".mod", ".sum"}:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
