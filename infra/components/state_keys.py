"""Keys for what the gateway's callers keep between the rounds of a call; all of its replicas have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_random as random
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.components.mounts import Files
from infra.labels import labels
from infra.naming import GATEWAY, STATE_KEYS, Stack

LENGTH: Final = 48
"""Letters and digits: more than 256 bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StateKeysArgs:
    """The keys of one gateway.

    Attributes:
        stack: The stack.
        names: One for each key.
    """

    stack: Stack
    names: Sequence[str]


def state_key_files(names: Sequence[str]) -> Files:
    """A file for each key, of its name."""
    return Files(name=STATE_KEYS, paths={name: name for name in names})


class StateKeys(pulumi.ComponentResource):
    """A Secret of generated keys, each made once."""

    def __init__(self, name: str, args: StateKeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:security:StateKeys", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        made = {
            key: random.RandomPassword(f"{STATE_KEYS}-{key}", length=LENGTH, special=False, opts=child)
            for key in args.names
        }
        v1.Secret(
            STATE_KEYS,
            metadata=ObjectMetaArgs(
                name=STATE_KEYS,
                namespace=args.stack.namespace,
                labels=labels(args.stack, GATEWAY, "gateway"),
            ),
            type="Opaque",
            string_data={key: pulumi.Output.secret(password.result) for key, password in made.items()},
            opts=child,
        )
        self.register_outputs({"names": list(args.names)})
