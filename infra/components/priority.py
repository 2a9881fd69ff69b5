"""Which pods come first where there isn't room for all: what every call goes through, then the rest.

In production only. Pods of others, which have no class, are below both; the first class may push them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.scheduling.v1 import PriorityClass

from infra.labels import KEEP, Component, labels
from infra.naming import PROJECT, Stack, priority


@dataclass(frozen=True, slots=True)
class Tier:
    """Pods that are as urgent as each other.

    Attributes:
        components: What parts they play; empty for all that no other tier has.
        value: Their priority; without a class it is 0.
        preemption: Whether they push others out, or wait for room.
        outlives: Whether such pods may outlive the stack: without their class none could be made again.
    """

    components: frozenset[Component]
    value: int
    preemption: Literal["PreemptLowerPriority", "Never"]
    outlives: bool = False


CRITICAL: Final = "critical"
STANDARD: Final = "standard"
TIERS: Final = {
    CRITICAL: Tier(frozenset({"gateway", "cache", "database"}), 1000, "PreemptLowerPriority", outlives=True),
    STANDARD: Tier(frozenset(), 100, "Never"),
}


def priority_class(stack: Stack, component: Component) -> str | None:
    """The class of the pods that play a part; None outside of production, for the cluster's default."""
    if not stack.production:
        return None
    return priority(stack.name, CRITICAL if component in TIERS[CRITICAL].components else STANDARD)


class Priorities(pulumi.ComponentResource):
    """The classes of a stack in production; they belong to no namespace, so their names have the stack's."""

    def __init__(self, name: str, stack: Stack, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:platform:Priorities", name, None, opts)
        for tier, facts in TIERS.items() if stack.production else ():
            class_name = priority(stack.name, tier)
            PriorityClass(
                class_name,
                metadata=ObjectMetaArgs(
                    name=class_name,
                    labels=labels(stack, PROJECT, "platform"),
                    annotations=KEEP if facts.outlives else None,
                ),
                value=facts.value,
                preemption_policy=facts.preemption,
                global_default=False,
                description=f"{tier} pods of stack {stack.name}",
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=facts.outlives),
            )
        self.register_outputs({})
