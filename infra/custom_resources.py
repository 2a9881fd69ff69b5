"""Typed custom resources: dataclasses whose fields are the CRD's, in Python's spelling."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields, is_dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

SpecT = TypeVar("SpecT")

_SPELLED = "spelled"
_AFTER_UNDERSCORE = re.compile(r"_([a-z])")


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSelector:
    """Objects that have all of these labels."""

    match_labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class TopologySpread:
    """How pods are spread over places, as far as that is possible."""

    topology_key: str
    label_selector: LabelSelector
    max_skew: int = 1
    when_unsatisfiable: Literal["ScheduleAnyway"] = "ScheduleAnyway"


class TypedResource(CustomResource, Generic[SpecT]):
    """One kind of custom resource, with a spec of its own; the kind is the class's name unless it is said."""

    _of: ClassVar[tuple[str, str]]

    def __init_subclass__(cls, *, api_version: str, kind: str | None = None) -> None:
        super().__init_subclass__()
        cls._of = api_version, kind or cls.__name__

    def __init__(
        self, name: str, metadata: ObjectMetaArgs, spec: SpecT, opts: pulumi.ResourceOptions
    ) -> None:
        api_version, kind = self._of
        super().__init__(name, api_version, kind, metadata=metadata, spec=to_data(spec), opts=opts)


def to_data(value: object) -> Any:  # noqa: ANN401 - JSON-like data
    """What the API server gets: camelCase keys, and nothing for what is None or an empty tuple.

    A field that would be a word of Python's own has an underscore behind it (`for_`); one with a key of its
    own spelling says so (`spelled`). Keys of mappings stay as they are: they are data.
    """
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((_key(field), getattr(value, field.name)) for field in fields(value))
        return {key: to_data(item) for key, item in pairs if item is not None and item != ()}
    if isinstance(value, Mapping):
        return {key: to_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_data(item) for item in value]
    return value


def spelled(key: str) -> dict[str, str]:
    """The `metadata` of a field whose key has capitals of its own, such as `isWALArchiver`."""
    return {_SPELLED: key}


def _key(field: Field[Any]) -> str:
    return field.metadata.get(_SPELLED) or _camel_case(field.name)


def _camel_case(name: str) -> str:
    return _AFTER_UNDERSCORE.sub(lambda match: match[1].upper(), name.removesuffix("_"))
