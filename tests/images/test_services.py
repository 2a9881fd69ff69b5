"""The image of the Python services: what is in it, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.engine.build_settings import BuildSettings
from services.kit.conventions import RUN_AS_USER
from tests.images.oci import Container, Root

pytestmark = [pytest.mark.images, pytest.mark.parametrize("name", ["gateway", "servers", "backup"])]

GetImage = Callable[[str], Root]


def files(root: Root, folder: str = "") -> Iterator[Path]:
    return (path for path in (root.path / folder).rglob("*") if path.is_file() and not path.is_symlink())


def test_its_configuration(image: GetImage, name: str) -> None:
    config = image(name).config
    assert config["User"] == f"{RUN_AS_USER}:{RUN_AS_USER}"
    assert config["Entrypoint"] == ["/opt/venv/bin/python", "-m"]
    assert config["WorkingDir"] == "/app"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    labels = {key.rpartition(".")[2]: value for key, value in config["Labels"].items()}
    assert labels["title"] == name
    assert labels["version"] == "0.1.0"
    assert len(labels["revision"]) in {40, len("unknown")}
    assert {"source", "licenses", "description"} <= labels.keys()


def test_it_runs_as_any_user_on_a_read_only_root(container: Callable[..., Container], name: str) -> None:
    facts = "os.getuid(), sys.version_info[:2], services.__file__"
    code = f"import json, os, sys, services; print(json.dumps([{facts}]))"
    run = container(name)
    run.root = Root(run.root.path, {**run.root.config, "Entrypoint": ["/opt/venv/bin/python"]})
    run.args = ["-c", code]
    run.start()
    run.wait()
    assert json.loads(run.log.splitlines()[-1]) == [23456, [3, 13], "/app/services/__init__.py"]


def test_byte_code_is_complete_and_never_checked_against_time_stamps(image: GetImage, name: str) -> None:
    root = image(name)
    sources = [*files(root, "app"), *files(root, "opt/venv/lib")]
    modules = [path for path in sources if path.suffix == ".py"]
    assert modules
    for path in modules:
        compiled = path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc"
        if compiled.exists():
            assert compiled.read_bytes()[4:8] == b"\x01\0\0\0", compiled  # PEP 552: hash-based, not checked
        else:
            assert "opt/venv" in str(path), f"{path} is not compiled"  # a template of a package, not a module


def test_only_its_own_package_and_the_shared_kit_come_along(image: GetImage, name: str) -> None:
    packages = {path.name for path in (image(name).path / "app/services").iterdir()}
    assert packages == {"__init__.py", "__pycache__", "kit", name}


def test_there_is_no_installer_compiler_or_package_list(image: GetImage, name: str) -> None:
    root = image(name).path
    for program in ("pip", "pip3", "gcc", "cc", "make", "curl", "wget"):
        for folder in ("usr/bin", "opt/venv/bin", "usr/local/bin"):
            assert not (root / folder / program).exists()
    assert not list((root / "opt/venv").rglob("pip"))
    assert not (root / "opt/pip").exists()
    assert not list((root / "var/lib/apt/lists").glob("*"))
    assert not list((root / "tmp").iterdir())


def test_the_build_machines_certificates_are_in_no_file(image: GetImage, name: str) -> None:
    bundle = BuildSettings.from_environment().ca_bundle
    if bundle is None:
        pytest.skip("this machine sets no CA bundle")
    assert not (image(name).path / "run/secrets").exists()
    size, content = bundle.stat().st_size, bundle.read_bytes()
    assert not [
        path for path in files(image(name)) if path.stat().st_size == size and path.read_bytes() == content
    ]


def test_nothing_in_it_may_be_changed_by_its_user(image: GetImage, name: str) -> None:
    root = image(name)
    writable = [
        path for path in files(root) if path.stat().st_uid == RUN_AS_USER or path.stat().st_mode & 0o002
    ]
    assert writable == []
