"""Building for real, by buildah, in a storage of the test's own."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from infra.cluster.processes import locked
from infra.cluster.report import silent
from infra.engine.build import LOCAL_PREFIX, ImageSpec, build, prune
from infra.engine.build_buildah import Buildah
from infra.engine.build_settings import BuildSettings
from infra.errors import PlatformError
from infra.images.content import image_hash
from tests.images.oci import until
from tests.images.registry import Registry, running

pytestmark = pytest.mark.images

TINY = "FROM scratch\nCOPY file /file\n"  # needs no base, so it builds in a second


def storage() -> Buildah:
    return Buildah.prepare(BuildSettings.from_environment(), lambda _line: None)


def spec(folder: Path, dockerfile: str = TINY, *, name: str = "tiny", registry: str = "") -> ImageSpec:
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    (folder / "file").touch()
    tag = image_hash(folder / "Dockerfile", folder, {})
    prefix = f"{registry}/team/" if registry else LOCAL_PREFIX
    return ImageSpec(name, folder / "Dockerfile", folder, {}, None, f"{prefix}{name}:{tag}")


def built(specs: list[ImageSpec], **options: object) -> list[str]:
    lines: list[str] = []
    build(specs, builder="buildah", report=lines.append, **options)  # pyright: ignore[reportArgumentType] - the caller's
    return lines


def leftovers(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "images").iterdir() if path.name not in {"storage", "lock"})


def test_an_image_is_built_once(home: Path, tmp_path: Path) -> None:
    one = spec(tmp_path / "one")
    assert any("building tiny [1/1]: COPY" in line for line in built([one]))
    assert storage().refs() == [one.ref]
    assert built([one]) == []
    assert leftovers(home) == []


@pytest.mark.usefixtures("home")
def test_files_that_changed_after_the_stack_was_evaluated_are_refused(tmp_path: Path) -> None:
    one = spec(tmp_path / "one")
    (tmp_path / "one/file").write_text("changed")
    with pytest.raises(
        PlatformError, match=r"image tiny: files below .*one changed after the stack was evaluated"
    ):
        built([one])
    assert storage().refs() == []


@pytest.mark.usefixtures("home")
def test_another_machines_platform_is_refused(tmp_path: Path) -> None:
    one = dataclasses.replace(spec(tmp_path / "one"), platforms=("linux/amd64", "linux/arm64"))
    with pytest.raises(PlatformError, match=r"image tiny: this machine builds linux/\w+, not linux/\w+$"):
        built([one])


def test_a_step_that_fails_is_shown_with_its_last_lines(
    buildah: Buildah, specs: dict[str, ImageSpec], tmp_path: Path
) -> None:
    del buildah  # in the machine's storage, which has the base
    failing = (
        "ARG BASE\nFROM ${BASE}\nRUN echo first\nRUN for n in $(seq 99); do echo line $n; done; exit 7\n"
    )
    one = dataclasses.replace(
        spec(tmp_path / "one", failing), build_args={"BASE": specs["redis"].build_args["BASE"]}
    )
    one = dataclasses.replace(one, ref=f"{LOCAL_PREFIX}failing:test")
    with pytest.raises(PlatformError) as caught:
        built([one])
    first, *rest = str(caught.value).splitlines()
    step = "RUN for n in $(seq 99); do echo line $n; done; exit 7"
    assert first == f"image tiny: building {one.dockerfile} failed at: {step}"
    assert "line 99" in rest
    assert "line 1" not in rest
    assert "first" not in rest
    assert len(rest) <= 20


@pytest.mark.usefixtures("home")
def test_concurrent_builds_wait_for_one_another(tmp_path: Path) -> None:
    images = [spec(tmp_path / f"context-{number}", name=f"tiny-{number}") for number in range(4)]
    for number, one in enumerate(images):
        (one.context / "file").write_text(str(number))
    images = [spec(one.context, name=one.name) for one in images]
    threads = [threading.Thread(target=built, args=([one],)) for one in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(storage().refs()) == sorted(one.ref for one in images)


def test_ctrl_c_leaves_nothing_behind_and_the_next_build_works(
    buildah: Buildah, specs: dict[str, ImageSpec], tmp_path: Path
) -> None:
    build([specs["redis"]], builder="buildah")  # so that the base is there
    sleep = f"sleep {3600 + os.getpid()}"  # another run of these tests has another
    slow = f"ARG BASE\nFROM ${{BASE}}\nRUN echo started; {sleep}\n"
    folder = tmp_path / "slow"
    spec(folder, slow)
    program = f"""
        from pathlib import Path
        from infra.engine.build import ImageSpec, build
        folder = Path({str(folder)!r})
        args = {dict(specs["redis"].build_args)!r}
        spec = ImageSpec("slow", folder / "Dockerfile", folder, args, None, "{LOCAL_PREFIX}slow:test")
        build([spec], builder="buildah", report=lambda line: print(line, flush=True))
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout is not None
    with child.stdout as output:
        assert any(sleep in line for line in output)
        until(lambda: runs(sleep), 60, lambda: "the step did not start")
        child.send_signal(signal.SIGINT)
        child.wait(120)
    assert child.returncode != 0
    until(lambda: not runs(sleep), 60, lambda: "the step still runs")
    with locked(buildah.settings.lock, silent, "another test's build"):
        assert leftovers(buildah.settings.home) == []
    build([dataclasses.replace(specs["redis"], ref=f"{LOCAL_PREFIX}redis:after")], builder="buildah")
    buildah.remove([f"{LOCAL_PREFIX}redis:after"])


def runs(command: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[:-1] == command.encode().split():
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


@pytest.mark.usefixtures("home")
def test_pruning_keeps_the_newest_and_what_is_asked_for(tmp_path: Path) -> None:
    specs = [spec(tmp_path / str(number), f"{TINY}LABEL n={number}\n") for number in range(8)]
    refs = [one.ref for one in specs]
    built(specs)
    storage().run("tag", refs[0], f"{LOCAL_PREFIX}debian:trixie-slim", what="tag")  # not a content hash
    assert prune(lambda: [refs[1]], builder="buildah") == sorted([refs[0], refs[2]])
    assert set(storage().refs()) == {refs[1], *refs[3:], f"{LOCAL_PREFIX}debian:trixie-slim"}
    assert prune(lambda: [refs[1]], builder="buildah") == []
    built([spec(tmp_path / "next")])  # a build prunes, too
    assert refs[1] not in storage().refs()


@pytest.mark.usefixtures("home")
def test_cached_stages_are_bounded(tmp_path: Path) -> None:
    dockerfile = "FROM scratch AS one\nCOPY file /file\nFROM scratch\nCOPY --from=one /file /other\n"
    folder = tmp_path / "one"
    for number in range(4):
        spec(folder, dockerfile)
        (folder / "file").write_text(str(number))
        tag = image_hash(folder / "Dockerfile", folder, {})
        built([ImageSpec("tiny", folder / "Dockerfile", folder, {}, None, f"{LOCAL_PREFIX}tiny:{tag}")])
    store = storage()
    stages = [image["id"] for image in store.images() if not image["names"]]
    assert len(stages) == 4
    store.trim(2)
    assert [image["id"] for image in store.images() if not image["names"]] == stages[:2]
    assert len(store.refs()) == 4


def test_what_a_killed_build_left_is_removed_but_never_through_a_mount(home: Path, tmp_path: Path) -> None:
    left, mounted = home / "images/load-x", home / "images/base-y"
    for folder in (left, mounted / "dev"):
        folder.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    subprocess.run(["mount", "--bind", str(elsewhere), str(mounted / "dev")], check=True)
    try:
        built([spec(tmp_path / "one")])
        assert leftovers(home) == ["base-y"]
        assert (elsewhere / "precious").exists()
    finally:
        subprocess.run(["umount", str(mounted / "dev")], check=True)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Registry]:
    with running() as one:
        settings = tmp_path / "registries.conf"
        settings.write_text(f'[[registry]]\nlocation = "{one.host}"\ninsecure = true\n')
        monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(settings))
        yield one


@pytest.mark.usefixtures("home")
def test_an_image_is_pushed_once(registry: Registry, tmp_path: Path) -> None:
    one = spec(tmp_path / "one", registry=registry.host)
    assert f"pushing {one.ref}" in built([one], push=True)
    name, _, tag = one.ref.removeprefix(f"{registry.host}/").rpartition(":")
    assert f"{name}:{tag}" in registry.manifests
    storage().remove([one.ref])
    assert built([one], push=True) == []  # the registry has it: neither built nor sent again
    assert storage().refs() == []


@pytest.mark.usefixtures("home")
def test_a_stack_that_says_push_is_pushed(registry: Registry, tmp_path: Path) -> None:
    one = dataclasses.replace(spec(tmp_path / "one", registry=registry.host), push=True)
    built([one])
    assert registry.manifests


@pytest.mark.usefixtures("home")
def test_a_base_that_is_reached_comes_from_its_registry(registry: Registry, tmp_path: Path) -> None:
    base = dataclasses.replace(spec(tmp_path / "base"), ref=f"{registry.host}/team/base:1")
    built([base], push=True)
    storage().remove([base.ref])
    child = spec(tmp_path / "child", f"ARG BASE={base.ref}\nFROM ${{BASE}}\nCOPY file /other\n", name="child")
    assert f"pulling {base.ref}" in built([child])
    assert set(storage().refs()) == {base.ref, child.ref}


@pytest.mark.usefixtures("home")
def test_a_dockerfile_of_a_users_own_may_build_on_any_image(registry: Registry, tmp_path: Path) -> None:
    other = dataclasses.replace(spec(tmp_path / "other"), ref=f"{registry.host}/team/other:1")
    built([other], push=True)
    storage().remove([other.ref])
    child = spec(tmp_path / "child", f"FROM {other.ref}\nCOPY file /other\n", name="child")
    built([child])
    assert child.ref in storage().refs()


@pytest.mark.usefixtures("home")
def test_a_dockerfile_may_have_an_ignore_file_of_its_own(tmp_path: Path) -> None:
    one = spec(tmp_path / "one")
    (tmp_path / "one/.dockerignore").write_text("*\n")
    with pytest.raises(PlatformError, match="COPY file /file"):
        built([one])
    (tmp_path / "one/Dockerfile.dockerignore").write_text("*\n!file\n")
    built([one])
    assert storage().refs() == [one.ref]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("setting", ["auto", "registry"])
def test_a_base_that_is_neither_reached_nor_debian_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("MCP_PLATFORM_BASE_IMAGE", setting)
    base = "127.0.0.1:1/team/base:1"
    child = spec(tmp_path / "child", f"ARG BASE={base}\nFROM ${{BASE}}\n")
    with pytest.raises(
        PlatformError, match=f"the base image {base} can't be pulled: connection refused"
    ) as caught:
        built([child])
    assert caught.value.hint


@pytest.mark.usefixtures("home")
def test_a_base_that_debian_does_not_make_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_PLATFORM_BASE_IMAGE", "local")
    child = spec(tmp_path / "child", "ARG BASE=docker.io/library/alpine:3\nFROM ${BASE}\n")
    with pytest.raises(PlatformError, match="alpine:3 can't be made here: only debian:SUITE-slim can"):
        built([child])


def test_packages_that_are_not_reached_are_said_with_what_to_do(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_PLATFORM_BASE_IMAGE", "local")
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    child = spec(tmp_path / "child", "ARG BASE=docker.io/library/debian:trixie-slim\nFROM ${BASE}\n")
    with pytest.raises(PlatformError, match="making the base image of Debian trixie failed") as caught:
        built([child])
    assert "HTTPS_PROXY" in caught.value.hint
    assert leftovers(home) == []


@pytest.mark.skipif(
    os.environ.get("DOCKER_HOST") is None, reason="no Docker engine is configured (DOCKER_HOST)"
)
def test_a_docker_engine_builds_the_same(tmp_path: Path) -> None:
    one = spec(tmp_path / "one")
    lines: list[str] = []
    build([one], builder="docker", report=lines.append)
    assert any("COPY" in line for line in lines)
    lines.clear()
    build([one], builder="docker", report=lines.append)
    assert lines == []
    subprocess.run(["docker", "image", "rm", one.ref], check=True, capture_output=True)
