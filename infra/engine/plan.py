"""What an `up` would do to each object, told by the API server itself (a dry run of server-side apply)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from infra.engine import helm
from infra.engine.database import is_database
from infra.engine.diff import Change, changes
from infra.engine.kubectl import MANAGER, Key, Kubectl, key_of
from infra.engine.manifest import Manifest, plain
from infra.engine.render import annotated, labelled
from infra.labels import KEEP

Identity = tuple[str, str, str]
"""Kind, namespace and name."""

_LEFT: Final = frozenset({"Namespace", "Secret"})
"""Kinds of objects that stay when they leave the program: others may have put something in there."""


class Action(StrEnum):
    """What happens to an object."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    KEEP = "keep"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one object.

    Attributes:
        changes: Fields that differ, for `CHANGE`.
        note: What a user should know besides.
        loses_data: Whether a deletion takes volumes with it.
    """

    action: Action
    kind: str
    namespace: str
    name: str
    changes: tuple[Change, ...] = ()
    note: str = ""
    loses_data: bool = False

    @property
    def needs_permission(self) -> bool:
        """Whether it left the program, and is only deleted with permission."""
        return self.action is Action.KEEP and self.kind in _LEFT


@dataclass(frozen=True, slots=True)
class Plan:
    """Every object of a stack and of its last release.

    Attributes:
        stack: The stack's name.
        context: The cluster that was asked, or "" for none.
        steps: In order of creation, deletions last.
        refusals: What the API server says against objects of the program.
    """

    stack: str
    context: str
    steps: tuple[Step, ...]
    refusals: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether there is nothing to do."""
        return (
            all(step.action in {Action.UNCHANGED, Action.KEEP} for step in self.steps) and not self.refusals
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many objects have each action."""
        counted = Counter(step.action for step in self.steps)
        return {str(action): counted[action] for action in Action}

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "summary": self.counts}


def offline(stack: str, objects: Sequence[Manifest]) -> Plan:
    """The plan against nothing: every object is new."""
    return Plan(stack, "", tuple(_step(Action.CREATE, item) for item in objects))


MANAGED_BY: Final = "app.kubernetes.io/managed-by"


def against(
    kubectl: Kubectl,
    stack: str,
    objects: Sequence[Manifest],
    released: Sequence[Mapping[str, Any]],
    namespace: str,
) -> Plan:
    """The plan against a cluster.

    Args:
        kubectl: The cluster.
        stack: The stack's name.
        objects: The program's objects.
        released: The objects that earlier deployments may have left.
        namespace: Where the release is.

    Raises:
        PlatformError: The cluster is not reached.
    """
    known = [item for item in objects if not item.unknown_paths]
    live = kubectl.live([*map(_stub, objects), *released])
    namespaces = {key[3] for key in live if key[1] == "Namespace"}
    outcome: dict[Key, dict[str, Any]] = {}
    refusals: list[str] = []
    for manager, outside in ((MANAGER, True), (helm.MANAGER, False)):
        batch = [
            applied_body(item, namespace)
            for item in known
            if is_outside(item) == outside and (item.namespace in {*namespaces, ""} or _key(item) in live)
        ]
        result, errors = kubectl.dry_apply(batch, manager=manager)
        outcome |= result
        refusals += errors
    steps = [_compared(item, live.get(_key(item)), outcome.get(_key(item))) for item in objects]
    owned = [body for body in released if _is_owned(live.get(key_of(body)), namespace)]
    return Plan(stack, kubectl.context, (*steps, *_gone(objects, owned)), tuple(refusals))


def is_outside(item: Manifest) -> bool:
    """Whether an object is applied directly rather than released by Helm.

    A release is recorded in the namespace, so that comes first, and with all of its content, so no secret.
    """
    return item.kind == "Namespace" or item.is_secret


def applied_body(item: Manifest, namespace: str) -> dict[str, Any]:
    """An object as it is sent to the server, with the marks of ownership that Helm or we add."""
    body = plain(item.body)
    if is_outside(item):
        return labelled(body, {MANAGED_BY: MANAGER})
    body = labelled(body, {MANAGED_BY: "Helm"})
    return annotated(body, _owner(namespace) | (KEEP if item.keep else {}))


def _owner(namespace: str) -> dict[str, str]:
    """The annotations by which Helm knows what it made."""
    return {"meta.helm.sh/release-name": helm.RELEASE, "meta.helm.sh/release-namespace": namespace}


def _is_owned(live: Mapping[str, Any] | None, namespace: str) -> bool:
    """Whether an object is there and this stack's; what somebody else made is never deleted."""
    if live is None:
        return False
    metadata = live["metadata"]
    applied = metadata.get("labels", {}).get(MANAGED_BY) == MANAGER
    return applied or _owner(namespace).items() <= metadata.get("annotations", {}).items()


def _stub(item: Manifest) -> dict[str, Any]:
    metadata = {"name": item.name} | ({"namespace": item.namespace} if item.namespace else {})
    return {"apiVersion": item.api_version, "kind": item.kind, "metadata": metadata}


def _key(item: Manifest) -> Key:
    return key_of(_stub(item))


def _step(action: Action, item: Manifest, found: tuple[Change, ...] = (), note: str = "") -> Step:
    return Step(action, item.kind, item.namespace, item.name, found, note)


def _compared(item: Manifest, live: Mapping[str, Any] | None, outcome: Mapping[str, Any] | None) -> Step:
    if live is None:
        return _step(Action.CREATE, item)
    if item.unknown_paths:
        return _step(Action.CHANGE, item, note=f"known during `up`: {', '.join(item.unknown_paths)}")
    if outcome is None:
        return _step(Action.CHANGE, item, note="refused by the API server")
    found = changes(live, outcome)
    return _step(Action.CHANGE if found else Action.UNCHANGED, item, found)


def _gone(objects: Sequence[Manifest], released: Sequence[Mapping[str, Any]]) -> list[Step]:
    """What was deployed before and is no longer in the program, in reverse order of creation."""
    wanted = {_key(item) for item in objects}
    steps = [_gone_step(body) for body in released if key_of(body) not in wanted]
    return steps[::-1]


def _gone_step(body: Mapping[str, Any]) -> Step:
    kind, namespace, name = identity(body)
    if kind in _LEFT:
        return Step(
            Action.KEEP, kind, namespace, name, note="left the program; `--allow-data-loss` deletes it"
        )
    if holds_volumes(body):
        note = "with its data; needs `--allow-data-loss`"
        return Step(Action.DELETE, kind, namespace, name, note=note, loses_data=True)
    if is_kept(body):
        return Step(
            Action.KEEP, kind, namespace, name, note="retained, as the program asked when it declared it"
        )
    return Step(Action.DELETE, kind, namespace, name)


def identity(body: Mapping[str, Any]) -> Identity:
    """What an object is called."""
    return key_of(body)[1:]


def is_kept(body: Mapping[str, Any]) -> bool:
    """Whether it stays when it leaves a release."""
    return KEEP.items() <= (body["metadata"].get("annotations") or {}).items()


def holds_volumes(body: Mapping[str, Any]) -> bool:
    """Whether deleting an object for good loses data."""
    return (
        body["kind"] == "PersistentVolumeClaim"
        or bool(body["kind"] == "StatefulSet" and body["spec"].get("volumeClaimTemplates"))
        or is_database(body)
    )
