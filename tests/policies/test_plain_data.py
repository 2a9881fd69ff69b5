"""The cursor, quantities, selectors, image references and exemptions that the rules are made of."""

from __future__ import annotations

import copy
import pickle
from datetime import date
from fractions import Fraction

import pytest

from policies.exemptions import ANNOTATION, BadExemption, Exemption, read_exemptions
from policies.matching import every, matches_selector
from policies.node import UNKNOWN, MalformedError, Node, Secret, first_present, json_path
from policies.objects import KubernetesObject
from policies.quantity import parse_quantity
from policies.rules.images import Reference, parse_reference
from policies.rules.secrets import looks_secret, names_secret


def test_paths_are_json_paths() -> None:
    assert json_path(("spec", "containers", 0, "image")) == "$.spec.containers[0].image"
    assert json_path(("metadata", "annotations", "a.b/c'd", "*")) == "$.metadata.annotations['a.b/c\\'d'][*]"
    assert json_path(()) == "$"


def test_absent_and_null_are_the_same() -> None:
    node = Node({"a": None})
    assert node.at("a").absent
    assert node.at("a.b.c").absent
    assert node.at("x").items() == []


def test_unknown_is_contagious() -> None:
    node = Node({"a": UNKNOWN})
    assert node.at("a.b.c").unknown
    (item,) = node.at("a").items()
    assert item.unknown
    assert item.json_path == "$.a[*]"
    ((name, entry),) = node.at("a").entries()
    assert (name, entry.unknown) == ("*", True)


def test_copies_of_the_unknown_are_the_unknown() -> None:
    assert copy.deepcopy([UNKNOWN])[0] is UNKNOWN
    assert pickle.loads(pickle.dumps(UNKNOWN)) is UNKNOWN  # noqa: S301 - our own bytes


def test_a_secret_is_seen_through_and_marks_what_is_below() -> None:
    node = Node({"a": Secret({"b": ["x"]})})
    (item,) = node.at("a.b").items()
    assert (item.value, item.secret, node.secret) == ("x", True, False)
    assert "x" not in repr(Secret("x"))


@pytest.mark.parametrize("value", ["text", 1, True, [1]])
def test_a_value_of_another_type_is_an_error_with_its_path(value: object) -> None:
    with pytest.raises(MalformedError, match=r"^\$\.a must be an object"):
        Node({"a": value}).at("a.b")
    if not isinstance(value, list):
        with pytest.raises(MalformedError, match="must be a list"):
            Node({"a": value}).at("a").items()


def test_booleans_are_no_numbers() -> None:
    with pytest.raises(MalformedError, match="a whole number, not bool"):
        Node(value=True).integer()


def test_the_first_present_value_wins() -> None:
    assert first_present(Node(None), Node(0), Node(1)).value == 0


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("250m", Fraction(1, 4)),
        ("1.5Gi", Fraction(3 * 2**29)),
        ("1e3", Fraction(1000)),
        ("2E", Fraction(2 * 10**18)),
        ("1E2", Fraction(100)),
        ("128974848", Fraction(128974848)),
        (0.5, Fraction(1, 2)),
        ("much", None),
        ("1KiB", None),
        ("", None),
    ],
)
def test_quantities(text: str | float, amount: Fraction | None) -> None:
    assert parse_quantity(text) == amount


def test_three_valued_all() -> None:
    assert every([True, True]) is True
    assert every([True, None]) is None
    assert every([None, False]) is False
    assert every([]) is True


def test_an_expression_over_an_unknown_label_is_undecided() -> None:
    selector = Node({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]})
    assert matches_selector(selector, Node({"a": "b"})) is True
    assert matches_selector(selector, Node({"a": "c"})) is False
    assert matches_selector(selector, Node({"a": UNKNOWN})) is None
    assert matches_selector(selector, Node(UNKNOWN)) is None


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("redis", Reference("docker.io/library/redis", "", "")),
        ("redis:8@sha256:1", Reference("docker.io/library/redis", "8", "sha256:1")),
        ("team/a:1", Reference("docker.io/team/a", "1", "")),
        ("localhost/a/b:1", Reference("localhost/a/b", "1", "")),
        ("registry.example:5000/a", Reference("registry.example:5000/a", "", "")),
    ],
)
def test_image_references(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference


@pytest.mark.parametrize(
    "name",
    ["PASSWORD", "redis-password", "apiKey", "AWS_SECRET_ACCESS_KEY", "auth.token", "DB_PASSWD", "tokens"],
)
def test_names_that_promise_a_secret(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD_FILE",
        "TOKEN_TTL_SECONDS",
        "SECRET_NAME",
        "TOKENIZER",
        "MONKEY",
        "token_url",
        "secretaries",
        "KEY_ID",
    ],
)
def test_names_that_do_not(name: str) -> None:
    assert not names_secret(name)


@pytest.mark.parametrize(
    "text",
    [
        "https://gateway.mcp-dev.svc.cluster.local:8080/mcp",
        "app.kubernetes.io/component=gateway,app.kubernetes.io/instance=prod",
        "sha256:2919d0172f7524b2d8df9e50066a682669e6d170ac0f6a49676d54358fe970b5",
        "123e4567-e89b-12d3-a456-426614174000",
        "/var/lib/postgresql/data/pgdata/base/current",
        "redis://$(REDIS_USER):$(REDIS_PASSWORD)@redis:6379",
    ],
)
def test_ordinary_text_is_no_secret(text: str) -> None:
    assert looks_secret(text) is None


def annotated(text: str) -> KubernetesObject:
    return KubernetesObject(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"annotations": {ANNOTATION: text}}}
    )


def test_exemptions_by_line_may_hold_colons_and_parentheses() -> None:
    (exemption,) = read_exemptions(annotated("spread: see (1): one node (until 2027-01-31)"))
    assert exemption == Exemption("spread", "see (1): one node", date(2027, 1, 31))


def test_an_exemption_holds_to_the_end_of_its_last_day_and_for_its_own_rule() -> None:
    exemption = Exemption("spread", "one node", date(2027, 1, 31))
    assert exemption.covers("spread", date(2027, 1, 31))
    assert not exemption.covers("spread", date(2027, 2, 1))
    assert not exemption.covers("high-uid", date(2027, 1, 1))


def test_an_exemption_of_more_than_a_year_excuses_nothing() -> None:
    exemption = Exemption("spread", "one node", date(2029, 1, 31))
    assert not exemption.covers("spread", date(2027, 1, 31))
    assert exemption.covers("spread", date(2028, 6, 1))


def test_nothing_is_exempt_from_the_rule_about_exemptions() -> None:
    assert not Exemption("exemption-valid", "x", date(2027, 1, 31)).covers(
        "exemption-valid", date(2027, 1, 1)
    )


@pytest.mark.parametrize(
    "text",
    [
        "spread",
        "spread: x",
        "spread: x (until tomorrow)",
        '{"spread": 1}',
        '{"spread": {"until": "2027-01-31"}}',
        '{"spread": {"reason": "x", "until": 20270131}}',
        '{"spread": {"reason": "x", "until": "2027-W05-1"}}',
        '{"spread": {"reason": "x", "until": "2027-01-31-"}}',
        '{"a":' * 100_000,
        "{",
    ],
)
def test_what_cannot_be_read_excuses_nothing(text: str) -> None:
    assert all(isinstance(item, BadExemption) for item in read_exemptions(annotated(text)))
    assert read_exemptions(annotated(text))
