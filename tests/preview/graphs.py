"""Evaluated programs, made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.preview_report import Report
from infra.comparison import prices
from infra.comparison.comparing import Compared, Side, policy_changes
from infra.comparison.cost import estimate
from infra.comparison.image_changes import image_changes
from infra.comparison.object_changes import ObjectChange, compare
from infra.comparison.protection import Acknowledgement
from infra.comparison.revision import Revision
from infra.engine.graph import Graph, Resource, ordered
from infra.engine.violation import Violation

CLUSTER = "urn:pulumi:test::small::pulumi:providers:kubernetes::cluster"
REPOSITORY = Path(__file__).resolve().parents[2]


def resource(type_: str, name: str, inputs: dict[str, Any], **more: Any) -> Resource:
    parent = str(more.get("parent", ""))
    above = f"{parent.split('::', 3)[2]}$" if parent else ""
    urn = f"urn:pulumi:test::small::{above}{type_}::{name}"
    return Resource(type=type_, name=name, urn=urn, inputs=inputs, **more)


def kubernetes(kind: str, name: str, spec: dict[str, Any] | None = None, **more: Any) -> Resource:
    """An object of a stack's namespace; `kind` as in `apps/v1:Deployment`."""
    metadata = {"name": name, "namespace": "mcp-test"}
    inputs = {"apiVersion": kind.partition(":")[0], "kind": kind.partition(":")[2], "metadata": metadata}
    inputs |= {"spec": spec} if spec is not None else {}
    inputs |= more.pop("inputs", {})
    return resource(f"kubernetes:{kind}", name, inputs, **more)


def component(name: str) -> Resource:
    return resource("mcp:service:Service", name, {}, custom=False)


def graph(*resources: Resource) -> Graph:
    return Graph("small", "test", ordered(resources), {})


def changes(old: Graph, new: Graph) -> dict[str, ObjectChange]:
    """What happens to each object, by its reference."""
    return {item.reference: item for item in compare(old, new).changes}


def report(
    old: Graph,
    new: Graph,
    *,
    before: tuple[Violation, ...] = (),
    after: tuple[Violation, ...] = (),
    acknowledged: tuple[str, ...] = (),
    stack: str = "dev",
    root: Path = REPOSITORY,
) -> Report:
    """A whole report without running a program."""
    table = prices.load()
    objects = compare(old, new)
    compared = Compared(
        stack=stack,
        old=Side(Revision("main", "0" * 12, root), old, before, 1.0),
        new=Side(Revision("", "1" * 12, root), new, after, 1.5),
        objects=objects,
        policies=policy_changes(before, after, objects.new_urns),
        images=tuple(image_changes(old, new, objects.new_urns)),
        old_cost=estimate(old, table),
        new_cost=estimate(new, table),
        seconds=1.5,
    )
    return Report.of(compared, table, [Acknowledgement(text, "--acknowledge") for text in acknowledged])
