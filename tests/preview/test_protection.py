from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.acknowledging import given
from infra.comparison.protection import Acknowledgement, acknowledgement, review
from infra.errors import PlatformError
from tests.preview.graphs import graph, kubernetes, report


def event(folder: Path, body: str | None, *labels: str) -> Path:
    file = folder / "event.json"
    request: dict[str, Any] = {"body": body, "labels": [{"name": label} for label in labels]}
    file.write_text(json.dumps({"pull_request": request}))
    return file


def said(*texts: str) -> list[Acknowledgement]:
    return [Acknowledgement(text, "--acknowledge") for text in texts]


def test_an_exact_name_acknowledges_and_any_other_is_told() -> None:
    objects = [("StatefulSet/db", "StatefulSet.apps/a/db"), ("Bucket/x", "aws:s3/bucket:Bucket/x")]
    found = review(objects, said("StatefulSet/db", "StatefulSet/d", "statefulset/db", "Bucket/*"))
    assert found.covered == {0}
    assert [item.text for item in found.unknown] == ["StatefulSet/d", "statefulset/db", "Bucket/*"]


def test_a_name_that_two_share_acknowledges_neither() -> None:
    objects = [("Secret/a", "Secret/one/a"), ("Secret/a", "Secret/two/a")]
    found = review(objects, said("Secret/a", "Secret/two/a"))
    assert found.covered == {1}
    assert [item.text for item in found.ambiguous] == ["Secret/a"]


@pytest.mark.parametrize("text", ["", "StatefulSet", "StatefulSet/", "/db", "StatefulSet/a b"])
def test_a_malformed_acknowledgement_is_an_error(text: str) -> None:
    with pytest.raises(PlatformError, match="does not acknowledge anything"):
        acknowledgement(text, "--acknowledge")


def test_a_pull_requests_text_and_labels_acknowledge(tmp_path: Path) -> None:
    body = "Why\r\nacknowledge: StatefulSet/db\r\nAcknowledge: `Bucket/x`\r\n"
    found = given(["Key/k"], event(tmp_path, body, "bug", "acknowledge: Namespace/n"))
    assert [(item.text, item.origin) for item in found] == [
        ("Key/k", "--acknowledge"),
        ("StatefulSet/db", "the pull request's text"),
        ("Bucket/x", "the pull request's text"),
        ("Namespace/n", "a label"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        None,
        "",
        "<!-- template:\nacknowledge: StatefulSet/db\n-->",
        "<!-- never closed\nacknowledge: StatefulSet/db\n",
        "```\nacknowledge: StatefulSet/db\n```\n",
        "we could acknowledge: StatefulSet/db",
    ],
)
def test_templates_examples_and_prose_acknowledge_nothing(tmp_path: Path, body: str | None) -> None:
    assert given([], event(tmp_path, body)) == []


@pytest.mark.parametrize("text", ["[]", "{}", '{"pull_request": 1}', "nonsense"])
def test_another_file_than_githubs_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "event.json"
    file.write_text(text)
    with pytest.raises(PlatformError, match=r"event\.json"):
        given([], file)


def test_a_loss_fails_until_it_is_acknowledged() -> None:
    old, new = graph(kubernetes("apps/v1:StatefulSet", "db", {})), graph()
    assert report(old, new).exit_code == 1
    assert report(old, new, acknowledged=("StatefulSet/other",)).exit_code == 1
    assert report(old, new, acknowledged=("StatefulSet/db",)).exit_code == 0
    assert report(old, new, acknowledged=("StatefulSet.apps/mcp-test/db",)).exit_code == 0


def test_where_two_share_a_name_the_longer_one_is_asked_for() -> None:
    elsewhere = {"metadata": {"name": "db", "namespace": "other"}}
    one = kubernetes("apps/v1:StatefulSet", "db", {})
    two = kubernetes("apps/v1:StatefulSet", "db-two", {}, inputs=elsewhere)
    found = report(graph(one, two), graph())
    assert sorted(map(found.needed, found.pending)) == [
        "StatefulSet.apps/mcp-test/db",
        "StatefulSet.apps/other/db",
    ]
