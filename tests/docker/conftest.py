"""One engine and one stack on it for all of these tests."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from infra.cluster import packages
from infra.cluster.report import silent
from infra.engine.build import build, image_specs
from infra.engine.build_buildah import Buildah
from infra.engine.build_settings import BuildSettings
from tests.docker.compose_plugin import compose_plugin
from tests.docker.engine import Ended, Engine, engine
from tests.evaluated import evaluated

MCPCTL: Final = str(Path(sys.executable).parent / "mcpctl")


@dataclass(frozen=True)
class Stack:
    """The stack `docker` on the tests' engine."""

    engine: Engine
    said: str
    """What `up` printed."""

    def run(self, *words: str, timeout: float = 300) -> Ended:
        return self.engine.run(MCPCTL, *words, "--stack", "docker", timeout=timeout)

    def must(self, *words: str, timeout: float = 300) -> str:
        done = self.run(*words, timeout=timeout)
        assert done.code == 0, done.out + done.err
        return done.out


@pytest.fixture(scope="session")
def docker_engine() -> Generator[Engine]:
    if os.geteuid() != 0:
        pytest.skip("an engine of one's own needs root")
    needed = {
        "dockerd": ["docker.io"],
        "iptables": ["iptables"],
        "nsenter": ["util-linux"],
        "ip": ["iproute2"],
    }
    packages.ensure(needed, silent, "running a Docker engine")
    packages.ensure({"docker": ["docker-cli"]}, silent, "speaking to a Docker engine")
    plugin = compose_plugin()
    # A short path: sockets are below it.
    with engine(Path(tempfile.mkdtemp(prefix="mcp-docker-")), plugin) as found:
        yield found


@pytest.fixture(scope="session")
def images(docker_engine: Engine) -> Engine:
    """The engine with the stack's images, which the machine-wide storage has built already."""
    specs = image_specs(evaluated("docker"))
    build(specs, builder="buildah")
    builder = Buildah.prepare(BuildSettings.from_environment(), silent)
    for spec in specs:
        archive = docker_engine.folder / "image.tar"
        builder.save(spec.ref, archive)
        docker_engine.must("docker", "load", "--quiet", "--input", str(archive))
        archive.unlink()
    return docker_engine


@pytest.fixture(scope="module")
def stack(images: Engine) -> Generator[Stack]:
    """The stack as `mcpctl up` makes it, and nothing of it afterwards."""
    made = Stack(images, "")
    said = made.must("up", "--yes", timeout=600)
    yield Stack(images, said)
    made.must("down", "--yes", "--allow-data-loss")
