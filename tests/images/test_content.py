"""The hash that names an image."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra.images.content import content_hash, copied_paths, image_hash

DOCKERFILE = """\
ARG BASE=debian
FROM ${BASE} AS build
ARG EXTRA=gateway
COPY requirements/${EXTRA}.txt /tmp/requirements.txt
FROM ${BASE}
ARG PACKAGE
COPY --from=build /opt/venv /opt/venv
COPY --chmod=0644 services/__init__.py services/
COPY services/$PACKAGE/ services/$PACKAGE/
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return make_context(tmp_path / "one")


def make_context(root: Path) -> Path:
    for name, text in {
        "services/Dockerfile": DOCKERFILE,
        "services/__init__.py": "",
        "services/gateway/app.py": "print('gateway')\n",
        "services/servers/app.py": "print('servers')\n",
        "requirements/gateway.txt": "aiohttp==3\n",
        "requirements/servers.txt": "mcp==2\n",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def gateway_hash(context: Path, **more: str) -> str:
    return image_hash(context / "services/Dockerfile", context, {"PACKAGE": "gateway", **more})


def test_copied_paths_fill_in_build_arguments_and_leave_out_other_stages(context: Path) -> None:
    paths = copied_paths(context / "services/Dockerfile", context, {"PACKAGE": "servers", "EXTRA": "servers"})
    assert [str(path.relative_to(context)) for path in paths] == [
        "requirements/servers.txt",
        "services/__init__.py",
        "services/servers",
    ]


def test_a_copied_path_that_is_missing_is_named(context: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"COPY names services/nothing/, which is not in"):
        gateway_hash(context, PACKAGE="nothing")


def test_the_hash_is_sixteen_digits_and_the_same_in_another_checkout(context: Path, tmp_path: Path) -> None:
    value = gateway_hash(context)
    assert len(value) == 16
    assert int(value, 16) >= 0
    assert value == gateway_hash(make_context(tmp_path / "elsewhere" / "deep"))


def test_time_stamps_and_byte_code_do_not_count(context: Path) -> None:
    before = gateway_hash(context)
    cache = context / "services/gateway/__pycache__"
    cache.mkdir()
    (cache / "app.cpython-313.pyc").write_bytes(b"\0")
    (context / "services/gateway/app.py").touch()
    assert gateway_hash(context) == before


def test_the_order_and_overlap_of_paths_do_not_count(context: Path) -> None:
    dockerfile = context / "services/Dockerfile"
    folder, file = context / "services/gateway", context / "services/gateway/app.py"
    assert content_hash(dockerfile, [file, folder], {}) == content_hash(dockerfile, [folder], {})


@pytest.mark.parametrize(
    "change",
    ["content", "name", "executable", "new file", "removed file", "requirements", "dockerfile"],
)
def test_what_is_built_counts(context: Path, change: str) -> None:
    before = gateway_hash(context)
    app = context / "services/gateway/app.py"
    match change:
        case "content":
            app.write_text("print('other')\n")
        case "name":
            app.rename(app.with_name("main.py"))
        case "executable":
            app.chmod(0o755)
        case "new file":
            (app.parent / "empty.py").touch()
        case "removed file":
            shutil.rmtree(app.parent)
            app.parent.mkdir()
        case "requirements":
            (context / "requirements/gateway.txt").write_text("aiohttp==4\n")
        case _:
            (context / "services/Dockerfile").write_text(DOCKERFILE + "USER 1\n")
    assert gateway_hash(context) != before


def test_what_the_image_does_not_copy_does_not_count(context: Path) -> None:
    before = gateway_hash(context)
    (context / "services/servers/app.py").write_text("changed\n")
    assert gateway_hash(context) == before


def test_build_arguments_count_by_name_and_value(context: Path) -> None:
    hashes = {gateway_hash(context), gateway_hash(context, A="1"), gateway_hash(context, A="2", B="")}
    assert len(hashes) == 3
    assert gateway_hash(context, A="1", B="2") == gateway_hash(context, B="2", A="1")
