"""Which container images run in one revision and in another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.comparison.matching import object_name, providers_of
from infra.comparison.redaction import LATER
from infra.comparison.secret_texts import scrubbed
from infra.engine.graph import UNKNOWN, Data, Graph

_CONTAINERS: Final = ("containers", "initContainers", "ephemeralContainers")
_NAMED: Final[Mapping[str, str]] = {
    "docker:index/container:Container": "image",
    "kubernetes:postgresql.cnpg.io/v1:Cluster": "imageName",
}


@dataclass(frozen=True, slots=True)
class ImageChange:
    """One image that is another now.

    Attributes:
        old: The reference before, or "" where there was none.
        new: The reference now, or "" where there is none.
        users: Where it runs, as `Deployment/gateway`.
    """

    old: str
    new: str
    users: tuple[str, ...]


def image_changes(old: Graph, new: Graph, new_urns: Mapping[str, str]) -> list[ImageChange]:
    """The images that differ, container by container, each pair of old and new once.

    Args:
        old: The graph before.
        new: The graph now.
        new_urns: What became of the old URNs of objects that are still there.
    """
    before = {(new_urns.get(urn, urn), place): item for (urn, place), item in _images(old).items()}
    after = _images(new)
    users: dict[tuple[str, str], set[str]] = defaultdict(set)
    for key in {**before, **after}:
        was, now = before.get(key, ("", "")), after.get(key, ("", ""))
        if was[0] != now[0]:
            users[was[0], now[0]].add(now[1] or was[1])
    return [ImageChange(was, now, tuple(sorted(names))) for (was, now), names in sorted(users.items())]


def _images(graph: Graph) -> dict[tuple[str, str], tuple[str, str]]:
    """By URN and container: the image's reference, and what runs it."""
    providers = providers_of(graph)
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for resource in graph.resources:
        name = object_name(resource, providers)
        user = f"{name.kind}/{name.name}"
        if (field := _NAMED.get(resource.type)) and field in resource.inputs:
            found[resource.urn, field] = _reference(resource.inputs[field]), user
        elif resource.type.startswith("kubernetes:"):
            for container, image in _of_pods(resource.inputs):
                found[resource.urn, container] = _reference(image), user
    return found


def _of_pods(value: Data) -> Iterator[tuple[str, Data]]:
    if isinstance(value, Mapping):
        for key in _CONTAINERS:
            yield from _of_containers(key, value.get(key))
        for below in value.values():
            yield from _of_pods(below)
    elif isinstance(value, list):
        for below in value:
            yield from _of_pods(below)


def _of_containers(key: str, group: Any) -> Iterator[tuple[str, Data]]:  # noqa: ANN401 - any piece of an object
    for number, item in enumerate(group if isinstance(group, list) else ()):
        if isinstance(item, Mapping) and "image" in item:
            yield f"{key}/{item.get('name', number)}", item["image"]


def _reference(value: Data) -> str:
    return LATER if value is UNKNOWN else scrubbed(str(value))
