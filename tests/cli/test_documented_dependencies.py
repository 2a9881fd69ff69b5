"""docs/dependencies.md has a word for everything that somebody chose."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/dependencies.md").read_text().lower()
OURS = "mcp-platform"
GO = [
    file
    for place in ("infra", "tests")
    for file in sorted((ROOT / place).rglob("go.mod"))
    if re.search(r"^(require|tool)\b", file.read_text(), re.MULTILINE)
]
HOSTS = {
    "github.com",
    "sigs.k8s.io",
    "k8s.io",
    "go.etcd.io",
    "helm.sh",
    "cmd",
    "v2",
    "v3",
    "v4",
    "server",
    "api",
}


def chosen() -> set[str]:
    """The distributions that pyproject.toml asks for."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {re.split(r"[^\w.-]", item)[0].lower() for items in extras.values() for item in items}
    return names - {OURS}


def test_every_python_package_has_its_reason() -> None:
    missing = {name for name in chosen() if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", PAGE)}
    assert not missing


@pytest.mark.parametrize("file", GO, ids=lambda file: str(file.parent.relative_to(ROOT)))
def test_every_program_of_a_go_module_has_its_reason(file: Path) -> None:
    text = file.read_text()
    tools = re.findall(r"^(?:tool |\t)(\S+)$", text, re.MULTILINE)
    modules = tools or re.findall(r"^(?:require |\t)(\S+) v\S+$", text, re.MULTILINE)
    assert modules
    words = re.sub(r"[^a-z0-9]", "", PAGE)
    missing = [name for name in modules if not any(word in words for word in _words(name))]
    assert not missing


def _words(module: str) -> list[str]:
    """What of a module's path may be its name in prose: `istio` of `istio.io/api`."""
    parts = [part.removesuffix(".io") for part in module.lower().split("/") if part not in HOSTS]
    return [re.sub(r"[^a-z0-9]", "", part) for part in parts]
