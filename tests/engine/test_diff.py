from __future__ import annotations

from typing import Any

from infra.engine.diff import ABSENT, changes


def body(spec: Any, kind: str = "Deployment", **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x", **metadata}, "spec": spec}


def words(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [str(change) for change in changes(old, new)]


def test_fields_are_named_by_their_path() -> None:
    assert words(body({"replicas": 1, "a": "x"}), body({"replicas": 2, "b": True})) == [
        "spec.a: x → (none)",
        "spec.b: (none) → true",
        "spec.replicas: 1 → 2",
    ]


def test_list_items_with_names_are_compared_by_name() -> None:
    old = body({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]})
    new = body({"containers": [{"name": "b", "image": "2"}, {"name": "a", "image": "1"}]})
    assert words(old, new) == ["spec.containers[b].image: 1 → 2"]
    (added,) = changes(body({"env": []}), body({"env": [{"name": "A", "value": "1"}]}))
    assert (added.path, added.old) == ("spec.env[A]", ABSENT)


def test_what_runs_one_after_the_other_is_compared_in_order() -> None:
    first, second = {"name": "a", "image": "1"}, {"name": "b", "image": "1"}
    old, new = ({"initContainers": items} for items in ([first, second], [second, first]))
    assert words(body(old), body(new)) == ['spec.initContainers: ["a", "b"] → ["b", "a"]']
    assert words(body(old), body({"initContainers": [first]})) == [
        'spec.initContainers[b]: {"image": "1", "name": "b"} → (none)'
    ]


def test_other_lists_are_compared_by_place_or_whole() -> None:
    assert words(body({"args": ["a", "b"]}), body({"args": ["a", "c"]})) == ["spec.args[1]: b → c"]
    assert words(body({"args": ["a"]}), body({"args": []})) == ['spec.args: ["a"] → []']
    twice = body({"ports": [{"name": "a"}, {"name": "a"}]})
    assert changes(twice, twice) == ()


def test_what_the_server_keeps_for_itself_is_no_difference() -> None:
    old = body({}, resourceVersion="1", uid="u", generation=3, managedFields=[{}], creationTimestamp="t")
    new = body({}, resourceVersion="2", generation=4) | {"status": {"ready": True}}
    assert changes(old, new) == ()


def test_a_secrets_values_are_compared_but_never_shown() -> None:
    old = body(None, "Secret") | {"data": {"a": "Y2FuYXJ5LTE=", "b": "c2FtZQ=="}}
    new = body(None, "Secret") | {"data": {"a": "Y2FuYXJ5LTI=", "b": "c2FtZQ=="}}
    assert words(old, new) == ["data.a: (secret) → (another secret)"]
    assert words(old, body(None, "Secret")) == ["data: (secret) → (none)"]


def test_long_texts_are_counted_not_shown() -> None:
    (line,) = words(body({"text": "a\nb\n"}), body({"text": ""}))
    assert line == 'spec.text: 2 lines → ""'
