"""Who opens connections to whom. Components add theirs, and network policies follow from the list. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from infra.addresses import POD_CREDENTIALS
from infra.labels import COMPONENT, INSTANCE, NAME, Component
from infra.naming import EVERY_POD, SERVERS, SERVICES, Stack

Protocol = Literal["TCP", "UDP"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pods:
    """Pods of the stack: of one service, of every service that plays some part, or all.

    Attributes:
        title: Of its own; the network policy for these pods has this name.
        name: The service's name.
        components: The parts.
        foreign: Labels of pods that an operator makes and that have none of ours, instead.
    """

    title: str
    name: str | None = None
    components: tuple[Component, ...] = ()
    foreign: Mapping[str, str] = field(default_factory=dict[str, str])

    def labels(self, stack: Stack) -> dict[str, str]:
        """Labels that all of the pods have."""
        if self.foreign:
            return dict(self.foreign)
        own = {} if self.name is None else {NAME: self.name}
        return {INSTANCE: stack.name, **own}

    def expressions(self) -> dict[str, tuple[str, ...]]:
        """Labels of which they have one of several values."""
        return {COMPONENT: self.components} if self.components else {}

    def members(self, services: Mapping[str, Component]) -> list[str]:
        """Names of the services among some whose pods these are."""
        if self.foreign:
            return []
        return sorted(
            name
            for name, component in services.items()
            if self.name in {None, name} and (not self.components or component in self.components)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Namespace:
    """Pods of another namespace: all of them, or those with some labels."""

    name: str
    pods: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True, slots=True)
class Networks:
    """Whatever has an address in there; never empty."""

    cidrs: tuple[str, ...]


Party = Pods | Namespace | Networks


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """Connections that are let through; nothing else is.

    Attributes:
        source: Who opens them.
        target: To whom. At least one of both are pods of the stack.
        port: The port of the pod that listens, not of a Service in front of it.
        name: The port's name, where only the pods that have a port of this name take the connections.
        protocols: TCP unless said otherwise.
    """

    source: Party
    target: Party
    port: int
    name: str | None = None
    protocols: tuple[Protocol, ...] = ("TCP",)


ALL_PODS: Final = Pods(title=EVERY_POD)
ALL_SERVERS: Final = Pods(title=SERVERS, components=("server",))
CALLERS_OF_NAMES: Final = Pods(title=SERVICES, components=("gateway", "server"))
"""Who may ask the DNS. The stores call nobody, and names can carry data out."""

_AGENT_PORT: Final = 80


def service(name: str) -> Pods:
    """The pods of one service."""
    return Pods(title=name, name=name)


def outside(source: Pods, cidrs: Iterable[str], port: int) -> list[Flow]:
    """What pods may call outside the cluster: nothing where there are no networks."""
    networks = tuple(cidrs)
    return [Flow(source=source, target=Networks(cidrs=networks), port=port)] if networks else []


def credentials_agent(source: Pods) -> Flow:
    """For pods that have a role by EKS Pod Identity."""
    return Flow(source=source, target=Networks(cidrs=POD_CREDENTIALS), port=_AGENT_PORT)
