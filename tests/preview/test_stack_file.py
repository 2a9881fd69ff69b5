from __future__ import annotations

from pathlib import Path

import pytest

from infra.engine.project import Project
from infra.engine.record import record
from infra.engine.stack_file import line_of, line_of_part, with_places
from infra.errors import PlatformError
from tests.preview.graphs import REPOSITORY

TEXT = """\
# a comment
config:
  small:gateway: { replicas: 2 }
  small:servers:
    filesystem:
      kind: filesystem
      list:
        - name: one
        - name: two
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Pulumi.test.yaml"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("gateway", 3),
        ("gateway.replicas", 3),
        ("servers.filesystem.kind", 6),
        ("servers.filesystem.list[1].name", 9),
        ("servers.filesystem.missing", 5),
        ("servers.missing.kind", 4),
        ("missing", 2),
    ],
)
def test_a_settings_line_or_that_of_the_nearest_around_it(file: Path, key: str, line: int) -> None:
    assert line_of(file, "small", key) == line


@pytest.mark.parametrize(
    ("names", "line"), [(["filesystem"], 5), (["x", "gateway"], 3), (["kind"], None), ([], None)]
)
def test_the_setting_that_is_called_as_a_component(file: Path, names: list[str], line: int | None) -> None:
    assert line_of_part(file, "small", names) == line


def test_messages_about_settings_say_where(file: Path) -> None:
    project = Project("small", "test", file.parent, file.parent, {})
    message = (
        'stack test: servers.filesystem.kind = "x": must be y\nstack test: auth.audience: missing\nother'
    )
    assert with_places(message, project).splitlines() == [
        'stack test: servers.filesystem.kind = "x": must be y (Pulumi.test.yaml:6)',
        "stack test: auth.audience: missing (Pulumi.test.yaml:2)",
        "other",
    ]


def test_a_missing_setting_of_the_platform_is_told_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text(f"name: mcp-platform\nmain: {REPOSITORY / 'infra'}\n")
    text = (REPOSITORY / "Pulumi.dev.yaml").read_text()
    assert "    audience: http://127.0.0.1:8080/mcp\n" in text
    text = text.replace("    audience: http://127.0.0.1:8080/mcp\n", "")
    (tmp_path / "Pulumi.test.yaml").write_text(text)
    line = text[: text.index("mcp-platform:auth:")].count("\n") + 1
    with pytest.raises(PlatformError) as error:
        record("test", project=tmp_path)
    assert str(error.value) == f"stack test: auth.audience: missing (Pulumi.test.yaml:{line})"
