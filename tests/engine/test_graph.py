"""The order of a graph's resources does not depend on when they were registered."""

from __future__ import annotations

from itertools import permutations

from infra.engine.graph import Resource, ordered


def resource(urn: str, **place: object) -> Resource:
    return Resource(type="t", name=urn, urn=urn, inputs={}, **place)  # pyright: ignore[reportArgumentType] - kwargs


def test_what_others_need_comes_first_and_the_rest_by_urn() -> None:
    resources = [
        resource("z-provider"),
        resource("b", provider="z-provider::id"),
        resource("a", parent="y-parent"),
        resource("y-parent"),
        resource("c", dependencies=("a", "somewhere else")),
    ]
    for shuffled in permutations(resources):
        assert [item.urn for item in ordered(shuffled)] == ["y-parent", "z-provider", "a", "b", "c"]
