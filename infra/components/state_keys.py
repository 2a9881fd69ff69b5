"""Keys for what the gateway's callers keep between the rounds of a call; all of its replicas have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi

from infra.components.mounts import Files
from infra.components.secret import SecretArgs, place_secret
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
    """A Secret of random keys."""

    def __init__(self, name: str, args: StateKeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:security:StateKeys", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        secret = SecretArgs(
            stack=args.stack,
            service=GATEWAY,
            component="gateway",
            random=dict.fromkeys(args.names, LENGTH),
        )
        place_secret(STATE_KEYS, secret, child)
        self.register_outputs({"names": list(args.names)})
