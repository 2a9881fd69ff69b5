"""Under which key an answer is kept: arguments in one spelling, whose it is, the release, and the rules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.authorization import UNRESTRICTED
from services.gateway.authorization.decisions import RuleView
from services.gateway.cache.keys import MAX_ARGUMENT_BYTES, canonical, owner_of
from services.gateway.cache.rules import HINT, Rule, Rules
from services.gateway.call import Call, Era
from services.gateway.config_cache import Cache
from services.gateway.fleet import Fleet
from services.gateway.messages import RawObject, raw
from services.kit.tokens import Principal

if TYPE_CHECKING:
    pass

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=5)


def written(value: Any, **style: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value, **style).encode())


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


def same_types(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: equal, but 1, 1.0 and true are three."""
    return repr(normal(one)) == repr(normal(other))


def normal(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, normal(item)) for key, item in value.items())
    return [normal(item) for item in value] if isinstance(value, list) else value


@given(OBJECTS)
def test_spelling_makes_no_difference_to_arguments(value: dict[str, Any]) -> None:
    compact = canonical(written(value, separators=(",", ":"), ensure_ascii=False))
    assert compact is not None
    assert same_types(msgspec.json.decode(compact), value)
    assert compact == canonical(written(reversed_keys(value), indent=3, ensure_ascii=True))


@given(OBJECTS, OBJECTS)
def test_other_arguments_are_written_otherwise(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (canonical(written(one)) == canonical(written(other))) == same_types(one, other)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('{"b": 100, "a": 15E-1, "c": 1e2}', '{"a":1.5,"b":100,"c":100.0}'),
        ('{"a": -0}', '{"a":0}'),
        ('{"a": 1, "a": 2}', '{"a":2}'),
        ('{"\\u0061": "\\u00e9\\/"}', '{"a":"é/"}'),
        ('{"a": 123456789012345678901234567890}', '{"a":123456789012345678901234567890}'),
    ],
)
def test_canonical_spelling(text: str, same: str) -> None:
    assert bytes(canonical(msgspec.Raw(text.encode())) or b"").decode() == same
    assert canonical(msgspec.Raw(same.encode())) == canonical(msgspec.Raw(text.encode()))


@pytest.mark.parametrize("text", ['{"a":1e999}', '{"a":"\\ud800"}', "[" * 5000 + "]" * 5000])
def test_what_has_no_canonical_spelling_is_left_alone(text: str) -> None:
    assert canonical(msgspec.Raw(text.encode())) is None


def test_large_arguments_are_left_alone() -> None:
    assert canonical(written({"a": "x" * MAX_ARGUMENT_BYTES})) is None


def call_by(principal: Principal, groups: frozenset[str] | None = None) -> Call:
    view = UNRESTRICTED if groups is None else RuleView((), principal.scopes, groups)
    return Call(1, "tools/call", {}, {}, Era.STATELESS, principal, view)


def test_whose_an_answer_is_depends_on_all_that_a_token_and_the_policy_say() -> None:
    ada = Principal("ada", "https://i", frozenset({"a", "b"}), 1.0, frozenset({("groups", "x")}))
    others = [
        Principal("bob", "https://i", ada.scopes, 1.0, ada.claims),
        Principal("ada", "https://j", ada.scopes, 1.0, ada.claims),
        Principal("ada", "https://i", frozenset({"a"}), 1.0, ada.claims),
        Principal("ada", "https://i", ada.scopes, 1.0, frozenset({("groups", "y")})),
        Principal("ada", "https://i", ada.scopes, 1.0, frozenset({("roles", "x")})),
        Principal("ada\ud800", "https://i", ada.scopes, 1.0, ada.claims),
    ]
    owners = [owner_of(call_by(it)) for it in (ada, *others)]
    owners += [owner_of(call_by(ada, frozenset({"operators"}))), owner_of(call_by(ada, frozenset({"x"})))]
    assert len(set(owners)) == len(owners)
    renewed = Principal("ada", "https://i", frozenset({"b", "a"}), 99.0, ada.claims)
    assert owner_of(call_by(renewed)) == owners[0]


def tool(meta: Any) -> RawObject:
    return {"name": raw("t"), "_meta": raw(meta)}


@pytest.mark.parametrize(
    ("meta", "rule"),
    [
        ({HINT: {"ttlSeconds": 7, "scope": "public"}}, Rule(7, public=True)),
        ({HINT: {}}, Rule(300, public=False)),
        ({HINT: {"ttlSeconds": 1e9}}, Rule(500, public=False)),
        ({HINT: {"ttlSeconds": 0}}, None),
        ({HINT: {"ttlSeconds": -5}}, None),
        ({HINT: {"scope": "everybody"}}, None),
        ({HINT: True}, None),
        ({"other": 1}, None),
        (["no object"], None),
    ],
)
def test_what_a_server_says_of_a_tool(meta: Any, rule: Rule | None) -> None:
    assert Rules(Cache(max_ttl_seconds=500)).hint(tool(meta)) == rule


def test_the_first_rule_that_matches_counts() -> None:
    settings = Cache.model_validate(
        {
            "tools": [
                {"match": "weather__now", "ttl_seconds": 0},
                {"match": "weather__*", "scope": "public"},
                {"match": "*", "ttl_seconds": 5},
            ],
            "trusted_servers": ["news-*"],
        }
    )
    rules = Rules(settings)
    assert rules.configured("weather__now") == Rule(0, public=False)
    assert rules.configured("weather__soon") == Rule(300, public=True)
    assert rules.configured("files__read") == Rule(5, public=False)
    assert (rules.trusts("news-daily"), rules.trusts("weather")) == (True, False)
    assert not Rules(settings.model_copy(update={"max_ttl_seconds": 0})).trusts("news-daily")


def test_a_release_is_what_all_replicas_say_they_are() -> None:
    fleet = Fleet(1)
    fleet.replace({"a": ["http://1", "http://2"]})
    server = fleet.servers["a"]
    assert (server.release, server.settled) == ((), False)
    fleet.learn("a", "http://1", "v1")
    assert (server.release, server.settled) == (("v1",), False)
    fleet.learn("a", "http://2", "v1")
    assert (server.release, server.settled) == (("v1",), True)
    fleet.learn("a", "http://2", "")
    assert server.release == ("v1",)
    fleet.learn("a", "http://2", "v2")
    assert server.release == ("v1", "v2")
    fleet.replace({"a": ["http://2", "http://3"]})
    assert (server.release, server.settled) == (("v2",), False)
    fleet.learn("a", "http://3", "")
    assert (server.release, server.settled) == (("http://2", "http://3"), True)
    fleet.learn("gone", "http://3", "v3")
    fleet.learn("a", "http://gone", "v3")
    assert server.release == ("http://2", "http://3")


def test_what_a_release_said_of_its_tools_is_not_believed_of_the_next() -> None:
    fleet = Fleet(1)
    fleet.replace({"a": ["http://1"]})
    server = fleet.servers["a"]
    fleet.learn("a", "http://1", "v1")
    server.cache_rules = {"t": Rule(5, public=True)}
    fleet.learn("a", "http://1", "v2")
    assert server.cache_rules is None
