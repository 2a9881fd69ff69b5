"""Images as the stack `dev` declares them, built in the machine-wide storage, whose cache `up` shares."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from infra.cluster import packages
from infra.cluster.report import silent
from infra.engine.build import ImageSpec, build, image_specs
from infra.engine.build_buildah import Buildah
from infra.engine.build_settings import BuildSettings
from tests.evaluated import evaluated
from tests.images.oci import Container, Root, unpack
from tests.infra.test_variants import evaluate


@pytest.fixture(scope="session")
def buildah() -> Buildah:
    if os.geteuid() != 0:
        pytest.skip("building without a Docker engine needs root")
    packages.ensure({"runc": ["runc"]}, silent, "running images")
    settings = BuildSettings.from_environment()
    settings.make_folder()
    return Buildah.prepare(settings, silent)


@pytest.fixture
def home(buildah: Buildah, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A storage of the test's own, away from what `up` uses."""
    monkeypatch.setenv("MCP_PLATFORM_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    own = dataclasses.replace(buildah, settings=BuildSettings.from_environment())
    shutil.rmtree(own.run_folder, ignore_errors=True)
    shutil.rmtree(tmp_path / "home", ignore_errors=True)


@pytest.fixture(scope="session")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ImageSpec]:
    """Of stack dev, and of one with backups."""
    bucket = {"endpoint": "http://s3.test", "name": "copies", "credentials": "s3"}
    backup = {"cidrs": ["192.0.2.0/24"], "bucket": bucket}
    more = image_specs(evaluate(tmp_path_factory.mktemp("more"), backup=backup))
    return {spec.name: spec for spec in [*more, *image_specs(evaluated("dev"))]}


@pytest.fixture(scope="session")
def image(
    buildah: Buildah, specs: dict[str, ImageSpec], tmp_path_factory: pytest.TempPathFactory
) -> Generator[Callable[[str], Root]]:
    """An image of the stack by name, built and unpacked when it is first asked for."""
    folder = tmp_path_factory.mktemp("images")
    roots: dict[str, Root] = {}

    def get(name: str) -> Root:
        if name not in roots:
            build([specs[name]], builder="buildah")
            roots[name] = unpack(buildah, specs[name].ref, folder / name)
        return roots[name]

    yield get
    shutil.rmtree(folder)


@pytest.fixture
def container(image: Callable[[str], Root], tmp_path: Path) -> Generator[Callable[..., Container]]:
    """Make containers of an image; they are gone after the test."""
    made: list[Container] = []

    def make(name: str, folder: str = "container", **options: object) -> Container:
        one = Container(image(name), tmp_path / folder, **options)  # pyright: ignore[reportArgumentType] - the caller's
        made.append(one)
        return one

    yield make
    for one in made:
        one.remove()
    shutil.rmtree(tmp_path / "runc", ignore_errors=True)
