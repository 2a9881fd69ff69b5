"""What docs/architecture.md promises about the code's shape."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cli", "infra", "policies", "services")
SHARED = ("services.kit.conventions", "services.kit.pins")
"""What the command line and the program share with services: constants, and the format of locks."""
LONGEST_MODULE = 300

ALLOWED = {
    "services": {"services"},
    "policies": {"policies"},
    "infra": {"infra", "services"},
    "cli": {"cli", "infra", "policies", "services"},
}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    wrong = [
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules(package)
        for name in imported(module)
        if name.split(".")[0] in PACKAGES and name.split(".")[0] not in ALLOWED[package]
    ]
    assert not wrong


@pytest.mark.parametrize("package", ["cli", "infra"])
def test_of_the_services_only_conventions_and_formats_are_read(package: str) -> None:
    wrong = [
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules(package)
        for name in imported(module)
        if name.startswith("services.")
        and not f"{name}.".startswith(tuple(f"{shared}." for shared in SHARED))
    ]
    assert not wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_a_module_is_one_idea(package: str) -> None:
    lengths = {
        str(module.relative_to(ROOT)): len(module.read_text().splitlines()) for module in modules(package)
    }
    assert not {name: length for name, length in lengths.items() if length > LONGEST_MODULE}


def test_the_program_is_a_table_of_contents() -> None:
    assert len((ROOT / "infra" / "__main__.py").read_text().splitlines()) <= 30


def test_the_map_names_every_package() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    map_ = text.partition("\n## The map\n")[2].partition("\n## ")[0]
    folders = [*(ROOT / "infra").iterdir(), *(ROOT / "services").iterdir()]
    names = {str(it.relative_to(ROOT)) for it in folders if any(_sources(it))}
    names |= {"cli", "policies", "access", "bench", "tests"}
    assert not {name for name in names if f"`{name}`" not in map_}


def _sources(folder: Path) -> Iterator[Path]:
    """Its files, other than what Python leaves of a package that another branch had."""
    return (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def test_what_takes_the_whole_machine_is_where_make_test_looks_for_it() -> None:
    (folders,) = re.findall(r"^REAL +:= (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    marked = [
        str(module.relative_to(ROOT))
        for module in (ROOT / "tests").rglob("test_*.py")
        if re.search(r"pytest\.mark\.(cluster|images)\b", module.read_text())
    ]
    assert marked
    assert not [module for module in marked if not module.startswith(tuple(folders.split()))]
