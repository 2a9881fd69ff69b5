from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from cli.comment import LIMIT, main, marker_of, text_of
from tests.preview.github import BOT, REPOSITORY, TOKEN, GitHub, serving
from tests.preview.graphs import REPOSITORY as PROJECT


@pytest.fixture
def github() -> Generator[GitHub]:
    with serving() as running:
        yield running


@pytest.fixture
def environment(github: GitHub, tmp_path: Path) -> dict[str, str]:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    return {
        "GITHUB_API_URL": github.url,
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_TOKEN": TOKEN,
    }


def page(folder: Path, text: str, name: str = "page.md") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_the_first_time_makes_a_comment_and_the_second_updates_it(
    github: GitHub, environment: dict[str, str], tmp_path: Path
) -> None:
    assert main(["preview", page(tmp_path, "one\n")], environment) == 0
    assert main(["preview", page(tmp_path, "two\n")], environment) == 0
    assert [item["body"] for item in github.comments] == ["<!-- mcp-platform: preview -->\ntwo\n"]
    comments = f"/repos/{REPOSITORY}/issues/7/comments"
    update = f"/repos/{REPOSITORY}/issues/comments/1"
    assert github.requests == [f"GET {comments}", f"POST {comments}", f"GET {comments}", f"PATCH {update}"]


def test_others_comments_are_never_touched(
    github: GitHub, environment: dict[str, str], tmp_path: Path
) -> None:
    github.add(f"{marker_of('preview')}\nof a person", "mallory")
    github.add(f"> {marker_of('preview')}\nquoted", BOT)
    github.add(f"{marker_of('other')}\nanother of ours", BOT)
    github.add(f"{marker_of('preview')}\nof an account that is gone", BOT)["user"] = None
    before = [item["body"] for item in github.comments]
    assert main(["preview", page(tmp_path, "ours")], environment) == 0
    assert [item["body"] for item in github.comments[:4]] == before
    assert len(github.comments) == 5


def test_the_comment_is_found_on_a_later_page(
    github: GitHub, environment: dict[str, str], tmp_path: Path
) -> None:
    for number in range(250):
        github.add(f"comment {number}", "octocat")
    github.add(f"{marker_of('preview')}\nold", BOT)
    assert main(["preview", page(tmp_path, "new")], environment) == 0
    assert len(github.comments) == 251
    assert github.comments[-1]["body"].endswith("new")


def test_a_passing_failure_is_tried_again_but_never_what_makes_a_comment(
    github: GitHub, environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    github.failures[:] = [502]
    assert main(["preview", page(tmp_path, "text")], environment) == 0
    github.comments.clear()
    github.requests.clear()
    github.failing = {"POST"}
    assert main(["preview", page(tmp_path, "text")], environment) == 2
    assert [item.split()[0] for item in github.requests] == ["GET", "POST"]
    assert "error: POST" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"GITHUB_TOKEN": "wrong-token"}, "401 Bad credentials"),
        ({"GITHUB_REPOSITORY": "acme/other"}, "404 Not Found"),
        ({"GITHUB_EVENT_PATH": "/nowhere"}, "GITHUB_EVENT_PATH: "),
        ({"GITHUB_API_URL": "file:///etc"}, "is not an address"),
    ],
)
def test_what_github_refuses_is_told_without_the_token(
    environment: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    says: str,
) -> None:
    assert main(["preview", page(tmp_path, "text")], {**environment, **change}) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "wrong-token" not in said
    assert TOKEN not in said


def test_outside_a_workflow_it_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preview", page(tmp_path, "text")], {}) == 2
    assert "GITHUB_EVENT_PATH is not set" in capsys.readouterr().err
    assert main(["preview"], {}) == 2
    assert "usage" in capsys.readouterr().err


def test_markdown_goes_first_and_other_files_are_code_that_nothing_ends(tmp_path: Path) -> None:
    log = tmp_path / "a log <b>.txt"
    log.write_text("one\n````\n</details>\n")
    text = text_of([log, Path(page(tmp_path, "# page\n"))], 1000)
    assert text == "# page\n\n\n#### a log b\n\n`````text\none\n````\n</details>\n`````\n"


def test_a_page_that_does_not_fit_is_named(tmp_path: Path) -> None:
    files = [Path(page(tmp_path, "x" * 500, f"{name}.md")) for name in ("dev", "prod")]
    text = text_of(files, 700)
    assert text == "x" * 500 + "\nprod: … 500 more characters, in the run's artifacts\n"


@pytest.mark.parametrize("size", [10, LIMIT - 10, LIMIT * 3])
@pytest.mark.parametrize("limit", [200, 5000, LIMIT])
def test_no_comment_is_longer_than_github_takes(tmp_path: Path, size: int, limit: int) -> None:
    files = [
        Path(page(tmp_path, "x" * size)),
        Path(page(tmp_path, "y\n" * size, "log.txt")),
        Path(page(tmp_path, "z" * size, "b.md")),
    ]
    text = text_of(files, limit)
    assert len(text) <= limit
    if size > limit:
        assert "more characters" in text


def test_it_needs_nothing_but_python(environment: dict[str, str], github: GitHub, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, sys.argv.pop(1));"]
    command[-1] += "import os, cli.comment; sys.exit(cli.comment.main(sys.argv[1:], os.environ))"
    done = subprocess.run(
        [*command, str(PROJECT), "preview", page(tmp_path, "text")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(github.comments) == 1
