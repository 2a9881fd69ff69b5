"""What the policy SDK hands to a policy, as plain data."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from threading import Lock
from types import SimpleNamespace
from typing import Any, Final, cast

from google.protobuf import json_format
from pulumi_policy import PolicyResource, ResourceValidationArgs, policy, proxy
from pulumi_policy.deserialize import deserialize_properties
from pulumi_policy.secret import Secret as SdkSecret

from policies.node import UNKNOWN, Node, Secret
from policies.objects import KubernetesObject
from policies.program import STACK_TYPE, Resource

_UNKNOWNS: Final = frozenset(
    {
        proxy.UNKNOWN_ARCHIVE_VALUE,
        proxy.UNKNOWN_ARRAY_VALUE,
        proxy.UNKNOWN_ASSET_VALUE,
        proxy.UNKNOWN_BOOLEAN_VALUE,
        proxy.UNKNOWN_NUMBER_VALUE,
        proxy.UNKNOWN_OBJECT_VALUE,
        proxy.UNKNOWN_STRING_VALUE,
    }
)
_REMEMBERED: Final = 2048
"""Messages of a stack's resources, more than one preview asks about at a time."""

_NOT_OBJECTS: Final = frozenset({"helm.sh", "kustomize", "yaml"})
"""Groups of the Kubernetes provider's components: their children are resources of their own."""


def adapt_sdk() -> None:
    """Let policies see which values are secret, and read each resource once.

    The engine marks secrets on the wire, but pulumi-policy 1.21 takes the marks off before it calls a policy,
    except for remediations. A policy could then not tell a marked Secret from a password in plain text. It
    also reads a resource's properties anew for each of the pack's policies: half of a check's time. There is
    no setting for either, so this replaces the functions of the SDK that do it; what they give is only read.
    """

    def with_marks(props: dict[str, Any], _proxy_secrets: bool = True) -> dict[str, Any]:
        return deserialize_properties(props, proxy_secrets=True)

    sdk = cast("Any", policy)  # the functions are not part of the SDK's public interface
    to_dict = remembered(json_format.MessageToDict)
    sdk.json_format = SimpleNamespace(MessageToDict=to_dict)
    sdk.deserialize_properties = remembered(with_marks)


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its last answers, by the identity of what it was asked about."""
    answers: OrderedDict[int, tuple[Any, tuple[Any, ...], Any]] = OrderedDict()
    lock = Lock()

    def ask(about: Any, *more: Any) -> Any:  # noqa: ANN401 - what the SDK passes along
        with lock:
            found = answers.get(id(about))
        # Kept with its answer, so that nothing else can have its identity meanwhile.
        if found is not None and found[0] is about and found[1] == more:
            return found[2]
        answer = function(about, *more)
        with lock:
            answers[id(about)] = (about, more, answer)
            if len(answers) > _REMEMBERED:
                answers.popitem(last=False)
        return answer

    return ask


def plain(value: Any) -> Any:  # noqa: ANN401 - any value of a property map
    """Dicts and lists with `UNKNOWN` and `Secret` inside, whole numbers as int; no SDK proxies."""
    if isinstance(value, SdkSecret):
        return Secret(plain(value.value))
    if isinstance(value, str):
        return UNKNOWN if value in _UNKNOWNS else value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    return _rebuilt(value, plain)


_plain_once: Final = remembered(plain)
"""For a resource's properties, of which the SDK hands the same to each policy; none changes them."""


def unproxied(value: Any) -> Any:  # noqa: ANN401 - as above
    """The same, but with the SDK's own unknowns, secrets and floats inside: what a remedy may give back."""
    if isinstance(value, SdkSecret):
        return SdkSecret(unproxied(value.value))
    return value if isinstance(value, str) else _rebuilt(value, unproxied)


def _rebuilt(value: Any, convert: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - as above
    """A mapping or sequence, with or without the SDK's proxy around it; anything else as it is."""
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        raw = mapping if isinstance(value, dict) else cast("dict[str, Any]", mapping["__target"])
        return {key: convert(item) for key, item in raw.items()}
    if isinstance(value, Sequence):
        sequence: Any = cast("Sequence[Any]", value)
        items = cast("list[Any]", sequence if isinstance(value, list) else sequence["__target"])
        return [convert(item) for item in items]
    return value


def kubernetes_object(type_: str, props: Any, urn: str, name: str) -> KubernetesObject | None:  # noqa: ANN401 - as above
    """The Kubernetes object that a resource declares; None for any other resource.

    Args:
        type_: Type token, such as `kubernetes:apps/v1:Deployment`.
        props: Its properties as the SDK gives them.
        urn: Becomes the object's origin.
        name: Pulumi's name of it, where the object leaves its own to Pulumi.
    """
    declared = _declared(type_)
    if not declared:
        return None
    content = _plain_once(props)
    # What isn't known or is malformed there must not make it an object that no rule is about.
    said = {field: value for field, value in declared.items() if not isinstance(content.get(field), str)}
    return KubernetesObject({**content, **said}, origin=urn, declared_name=name)


@lru_cache(maxsize=1024)
def kind_of(type_: str) -> str:
    """A type token's Kubernetes kind (`Deployment.apps`), or the token itself where it is no object."""
    declared = _declared(type_)
    return KubernetesObject(declared).kind if declared else type_


def _declared(type_: str) -> dict[str, str]:
    """What a manifest of this type token begins with; empty for what is no Kubernetes object."""
    package, _, rest = type_.partition(":")
    version, _, kind = rest.partition(":")
    if package != "kubernetes" or not kind or version.partition("/")[0] in _NOT_OBJECTS:
        return {}
    return {"apiVersion": version.removeprefix("core/"), "kind": kind}


def declared_resource(args: ResourceValidationArgs | PolicyResource, props: Any) -> Resource:  # noqa: ANN401 - as above
    """A resource with what the engine knows about it; dependencies only where the whole stack is shown."""
    resource = Resource(
        type=args.resource_type,
        name=args.name,
        urn=args.urn,
        node=Node(_plain_once(props)),
        protect=args.opts.protect,
        provider=args.provider.name if args.provider else "",
        parent=_parent(args.opts.parent or ""),
    )
    if not isinstance(args, PolicyResource):
        return resource
    return replace(
        resource,
        parent=_parent(args.parent.urn) if args.parent else resource.parent,
        dependencies=frozenset(item.urn for item in args.dependencies),
        property_dependencies={
            name: frozenset(item.urn for item in items) for name, items in args.property_dependencies.items()
        },
    )


def _parent(urn: str) -> str:
    """A parent's URN; "" for the stack itself."""
    return "" if f"::{STACK_TYPE}::" in urn else urn


def built_images(resources: Iterable[tuple[str, Any]]) -> frozenset[str]:
    """References of the images that a stack builds, from the type and properties of its resources."""
    references: set[str] = set()
    for type_, props in resources:
        if type_ == "docker-build:index:Image":
            image = _plain_once(props)
            tags = image.get("tags")
            references |= {tag for tag in (tags if isinstance(tags, list) else []) if isinstance(tag, str)}
            if isinstance(image.get("ref"), str):
                references.add(image["ref"])
    return frozenset(references)
