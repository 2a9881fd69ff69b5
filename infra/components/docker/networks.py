"""Networks between containers: one for each service that the gateway asks, so that none sees another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker

from infra.labels import labels
from infra.naming import PROJECT, Stack

EDGE: Final = "edge"
"""Where the gateway's port is published from."""

_MASQUERADE: Final = "com.docker.network.bridge.enable_ip_masquerade"
_NO_HOST_ADDRESS: Final = "com.docker.network.bridge.inhibit_ipv4"


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworksArgs:
    """The networks of one stack.

    Attributes:
        stack: The stack.
        services: Stores and servers: the gateway shares a network with each.
        let_out: Servers that may call the world.
        gateway_out: Whether the gateway may, for the keys of token issuers.
    """

    stack: Stack
    services: Sequence[str]
    let_out: Sequence[str]
    gateway_out: bool


def exit_of(server: str) -> str:
    """The network by which one server reaches the world; no server is called like it."""
    return f"{server}_out"


def build_options(*, internal: bool, out: bool) -> dict[str, str]:
    """Of the bridge: on an internal one the machine has no address; without masquerade no answer returns."""
    if internal:
        return {_NO_HOST_ADDRESS: "true"}
    return {_MASQUERADE: "true" if out else "false"}


class Networks(pulumi.ComponentResource):
    """All networks of a stack.

    Attributes:
        names: Docker's name of each, by ours.
    """

    names: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: NetworksArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:docker:Networks", name, None, opts)
        own = labels(args.stack, PROJECT, "platform")

        def network(key: str, *, internal: bool, out: bool) -> pulumi.Output[str]:
            made = docker.Network(
                key,
                name=f"{args.stack.namespace}-{key}",
                driver="bridge",
                internal=internal,
                options=build_options(internal=internal, out=out),
                labels=[docker.NetworkLabelArgs(label=label, value=value) for label, value in own.items()],
                opts=pulumi.ResourceOptions(parent=self),
            )
            return made.name

        self.names = {
            EDGE: network(EDGE, internal=False, out=args.gateway_out),
            **{service: network(service, internal=True, out=False) for service in args.services},
            **{
                exit_of(server): network(exit_of(server), internal=False, out=True) for server in args.let_out
            },
        }
        self.register_outputs({})
