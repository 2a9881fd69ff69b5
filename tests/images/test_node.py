"""Images in a real containerd, as the embedded cluster's node runs one."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.cluster.processes import locked
from infra.cluster.report import silent
from infra.cluster.spec import DEFAULT_HOME
from infra.cluster.tools import tool
from infra.engine.build import LOCAL_PREFIX, ImageSpec, build, prune
from infra.engine.build_buildah import Buildah
from infra.engine.build_node import NodeImages
from infra.engine.build_settings import BuildSettings
from infra.errors import PlatformError
from infra.images.content import image_hash
from tests.images.oci import until

pytestmark = [pytest.mark.images, pytest.mark.cluster]


@dataclass(frozen=True)
class Node:
    home: Path
    containerd_socket: Path

    @property
    def images(self) -> NodeImages:
        return NodeImages(tool("ctr", home=self.home), self.containerd_socket)


@pytest.fixture
def node(buildah: Buildah, home: Path, tmp_path: Path) -> Generator[Node]:
    del home  # images are built in the test's own; the programs are the machine's
    programs = buildah.settings.home
    one = Node(programs, tmp_path / "c.sock")
    folders = ["--root", str(tmp_path / "root"), "--state", str(tmp_path / "state")]
    command = [str(tool("containerd", home=programs)), *folders, "--address", str(one.containerd_socket)]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until(one.containerd_socket.exists, 120, (tmp_path / "log").read_text)
            yield one
        finally:
            process.terminate()
            process.wait(60)


def spec(folder: Path, content: str, *, tag: str = "") -> ImageSpec:
    folder.mkdir(exist_ok=True)
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY file /file\n")
    (folder / "file").write_text(content)
    ref = f"{LOCAL_PREFIX}tiny:{tag or image_hash(dockerfile, folder, {})}"
    return ImageSpec("tiny", dockerfile, folder, {}, None, ref)


def load(node: Node, *specs: ImageSpec) -> list[str]:
    lines: list[str] = []
    build(specs, builder="buildah", load_into=node, report=lines.append)
    return lines


def test_an_image_is_loaded_once_under_its_own_name_and_pinned(node: Node, tmp_path: Path) -> None:
    one = spec(tmp_path / "one", "1")
    assert "loading tiny into the cluster" in load(node, one)
    assert node.images.refs() == {one.ref}
    assert "io.cri-containerd.pinned=pinned" in node.images.run("ls", f"name=={one.ref}", what="ls")
    with locked(BuildSettings.from_environment().lock, silent, "this test"):  # nor is any builder asked
        assert load(node, one) == ["images: all 1 are in the cluster"]


def test_an_image_that_the_node_lost_is_loaded_without_building_it_again(node: Node, tmp_path: Path) -> None:
    one = spec(tmp_path / "one", "1")
    load(node, one)
    node.images.remove([one.ref])
    assert load(node, one) == ["loading tiny into the cluster"]
    assert node.images.refs() == {one.ref}


def test_pruning_leaves_what_is_kept_and_what_is_not_ours(node: Node, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    old, new = spec(folder, "1"), spec(folder, "2")
    load(node, new)
    load(node, spec(folder, "1"))
    load(node, dataclasses.replace(spec(folder, "3"), ref=f"{LOCAL_PREFIX}pause:1"))
    assert prune(lambda: [new.ref], builder="buildah", load_into=node) == [old.ref]
    assert node.images.refs() == {new.ref, f"{LOCAL_PREFIX}pause:1"}
    targets = node.images.targets()
    assert set(targets.values()) == {targets[ref] for ref in node.images.refs()}  # the old image is freed


def test_a_cluster_that_is_down_is_said(tmp_path: Path) -> None:
    node = Node(DEFAULT_HOME, tmp_path / "nothing.sock")
    with pytest.raises(PlatformError, match=r"containerd does not answer at .*nothing\.sock") as caught:
        load(node, spec(tmp_path / "one", "1"))
    assert "mcpctl cluster status" in caught.value.hint
