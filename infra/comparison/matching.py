"""Which resource of one revision is which of another, as Pulumi's engine decides it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.engine.graph import Graph, Resource

_KUBERNETES = "kubernetes:"


@dataclass(frozen=True, slots=True)
class Pair:
    """A resource in both revisions, or in one of them.

    Attributes:
        old: As it was; None where it is new.
        new: As it is; None where it is gone.
        moved: The same object under another URN, with no alias that says so: Pulumi deletes and creates it.
    """

    old: Resource | None
    new: Resource | None
    moved: bool = False


@dataclass(frozen=True, slots=True)
class ObjectName:
    """What a resource is called where it runs.

    Attributes:
        package: The provider's package, such as `kubernetes` or `aws`.
        group: The API group of a Kubernetes object; for others the module, such as `s3/bucket`.
        kind: Such as `Deployment` or `Bucket`.
        namespace: "" where there is none.
        name: `metadata.name` of a Kubernetes object as far as known; for others the program's name.
    """

    package: str
    group: str
    kind: str
    namespace: str
    name: str


def object_name(resource: Resource, providers: Mapping[str, Resource]) -> ObjectName:
    """Name a resource, in its provider's namespace where it names none itself."""
    package, module, kind = _split(resource.type)
    if not resource.type.startswith(_KUBERNETES):
        return ObjectName(package, module, kind, "", resource.name)
    metadata = resource.inputs.get("metadata")
    fields: Mapping[str, Any] = metadata if isinstance(metadata, Mapping) else {}
    name, namespace = fields.get("name"), fields.get("namespace")
    if not isinstance(namespace, str):
        provider = providers.get(provider_urn(resource))
        default = provider.inputs.get("namespace") if provider else None
        namespace = default if isinstance(default, str) else ""
    group = module.rpartition("/")[0].removeprefix("core")
    return ObjectName(package, group, kind, namespace, name if isinstance(name, str) else resource.name)


def provider_urn(resource: Resource) -> str:
    """The URN of a resource's provider, or ""."""
    return resource.provider.rpartition("::")[0]


def providers_of(graph: Graph) -> dict[str, Resource]:
    """The providers that a program declares, by URN."""
    return {item.urn: item for item in graph.resources if item.type.startswith("pulumi:providers:")}


def pairs(old: Graph, new: Graph) -> list[Pair]:
    """Pair the resources: by URN, by an alias of the new one, then by what they are called where they run.

    Components are nothing by themselves and left out. Those that are gone come last, the last made first.
    """
    before = {item.urn: item for item in old.resources if item.custom}
    former = _former_urns(new)
    found: list[Pair] = []
    added: list[Resource] = []
    for item in new.resources:
        if not item.custom:
            continue
        match = next((before.pop(urn) for urn in (item.urn, *former[item.urn]) if urn in before), None)
        if match:
            found.append(Pair(match, item))
        else:
            added.append(item)
    known_old, known_new = providers_of(old), providers_of(new)
    by_name = {object_name(item, known_old): item for item in before.values()}
    for item in added:
        moved = by_name.pop(object_name(item, known_new), None)
        found.append(Pair(moved, item, moved=moved is not None))
        if moved:
            del before[moved.urn]
    order = {item.urn: number for number, item in enumerate(new.resources)}
    found.sort(key=lambda pair: order[pair.new.urn] if pair.new else 0)
    return [*found, *(Pair(item, None) for item in reversed(list(before.values())))]


def _former_urns(graph: Graph) -> dict[str, list[str]]:
    """By URN, the URNs that a resource may have had before; a parent's aliases are its children's, too."""
    found: dict[str, list[str]] = {}
    for item in graph.resources:  # each after its parent
        parents = [item.parent, *found.get(item.parent, [])]
        urns = [_urn(graph, parent, item.type, item.name) for parent in parents]
        for alias in item.options.get("aliases", ()):
            urns += [alias] if isinstance(alias, str) else _aliased(graph, item, alias, parents)
        found[item.urn] = [urn for urn in dict.fromkeys(urns) if urn != item.urn]
    return found


def _aliased(graph: Graph, item: Resource, alias: Mapping[str, Any], parents: Iterable[str]) -> Iterator[str]:
    if alias.get("noParent"):
        parents = [""]
    elif given := alias.get("parentUrn"):
        parents = [str(given)]
    for parent in parents:
        yield _urn(
            graph,
            parent,
            str(alias.get("type") or item.type),
            str(alias.get("name") or item.name),
            project=str(alias.get("project") or graph.project),
            stack=str(alias.get("stack") or graph.stack),
        )


def _urn(
    graph: Graph, parent: str, type_: str, name: str, *, project: str | None = None, stack: str | None = None
) -> str:
    above = f"{parent.split('::', 3)[2]}$" if parent.count("::") > 2 else ""  # noqa: PLR2004 - a URN's parts
    return f"urn:pulumi:{stack or graph.stack}::{project or graph.project}::{above}{type_}::{name}"


def _split(type_: str) -> tuple[str, str, str]:
    """`aws:s3/bucket:Bucket` is `aws`, `s3/bucket`, `Bucket`; `pulumi:providers:aws` a `Provider`."""
    package, module, kind = (*type_.split(":", 2), "", "")[:3]
    if module == "providers":
        return kind, "", "Provider"
    return package, module, kind
