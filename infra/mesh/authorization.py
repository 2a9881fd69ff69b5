"""Who is let through, by identity: the same flows that the network policies are made of. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from infra.flows import Flow, Namespace, Networks, Party, Pods, service
from infra.gateway_api import GROUP
from infra.labels import Component
from infra.mesh.resources import (
    AuthorizationPolicySpec,
    AuthorizationRule,
    From,
    MutualTls,
    Operation,
    PeerAuthenticationSpec,
    Source,
    TargetReference,
    To,
    WorkloadSelector,
)
from infra.naming import DEFAULT_DENY, PEERS, WAYPOINT, Stack, requests_policy
from infra.settings.mesh import Mesh
from services.kit.conventions import MCP_PATH, MCP_PORT

STRICT: Final = MutualTls(mode="STRICT")
PERMISSIVE: Final = MutualTls(mode="PERMISSIVE")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """What identities and policies are made of.

    Attributes:
        stack: The stack.
        mesh: The mesh that it is in.
        flows: Every connection that the stack's pods take or open.
        services: The part that each of its services plays.
        routed: Servers, which requests are routed to.
        proxies: Gateways whose proxies Istio runs in the stack's namespace, and their service accounts.
    """

    stack: Stack
    mesh: Mesh
    flows: Sequence[Flow]
    services: Mapping[str, Component]
    routed: Collection[str]
    proxies: Mapping[str, str] = field(default_factory=dict[str, str])

    def principal(self, account: str, namespace: str | None = None) -> str:
        """The identity of a service account."""
        return f"{self.mesh.trust_domain}/ns/{namespace or self.stack.namespace}/sa/{account}"

    def members(self, pods: Pods) -> list[str]:
        """The services whose pods these are; a service account has its service's name.

        Pods that an operator makes are no service of ours, and are called as their network policy is.
        """
        found = [pods.name] if pods.name else pods.members(self.services)
        return found or ([] if pods.components else [pods.title])

    def selector(self, name: str) -> WorkloadSelector:
        """The pods of one of the members."""
        parties = (party for flow in self.flows for party in (flow.source, flow.target))
        own = next((it for it in parties if isinstance(it, Pods) and it.title == name), service(name))
        return WorkloadSelector(match_labels=own.labels(self.stack))

    def targets(self) -> list[str]:
        """All services that anybody connects to."""
        pods = [flow.target for flow in self.flows if isinstance(flow.target, Pods)]
        return sorted({name for party in pods for name in self.members(party)})

    def into(self, name: str) -> Iterator[Flow]:
        """The connections that a service takes."""
        for flow in self.flows:
            if (
                isinstance(flow.target, Pods)
                and name in self.members(flow.target)
                and "TCP" in flow.protocols
            ):
                yield flow

    def is_outside(self, party: Party) -> bool:
        """Whether it calls in plain text, because it is no part of the mesh."""
        return isinstance(party, Networks) or (
            isinstance(party, Namespace) and party.name not in self.mesh.callers
        )

    def at_waypoint(self, name: str, flow: Flow) -> bool:
        """Whether requests on such a connection to a service go through the waypoint."""
        return self.mesh.mode == "ambient" and self.is_request(name, flow)

    def is_request(self, name: str, flow: Flow) -> bool:
        """Whether a connection to a service is for requests to an MCP server."""
        return name in self.routed and flow.port == MCP_PORT and isinstance(flow.source, Pods)


def build_peers(trust: Trust) -> dict[str, PeerAuthenticationSpec]:
    """Mutual TLS at every port, but for those where somebody outside of the mesh may call."""
    peers = {PEERS: PeerAuthenticationSpec(mtls=STRICT)}
    for name in trust.targets():
        plain = {str(flow.port) for flow in trust.into(name) if trust.is_outside(flow.source)}
        # What the proxies of a Gateway take, its listeners say.
        if plain and name not in trust.proxies:
            peers[name] = PeerAuthenticationSpec(
                mtls=STRICT,
                selector=trust.selector(name),
                port_level_mtls=dict.fromkeys(sorted(plain), PERMISSIVE),
            )
    return peers


def build_policies(trust: Trust) -> dict[str, AuthorizationPolicySpec]:
    """Nothing is let through, but for what has a rule at the service that it goes to."""
    policies = {DEFAULT_DENY: AuthorizationPolicySpec()}
    if trust.mesh.mode == "ambient":
        # Of the namespace's policies without a target, a waypoint takes no notice.
        policies[WAYPOINT] = AuthorizationPolicySpec(target_refs=(_gateway(WAYPOINT),))
    for name in trust.targets():
        rules = tuple(_connections(trust, name, flow) for flow in trust.into(name))
        if name in trust.proxies:
            policies[name] = AuthorizationPolicySpec(target_refs=(_gateway(name),), rules=rules)
            continue
        policies[name] = AuthorizationPolicySpec(selector=trust.selector(name), rules=rules)
        requests = tuple(_requests(trust, flow) for flow in trust.into(name) if trust.at_waypoint(name, flow))
        if requests:
            target = TargetReference(group="", kind="Service", name=name)
            policies[requests_policy(name)] = AuthorizationPolicySpec(target_refs=(target,), rules=requests)
    return policies


def _connections(trust: Trust, name: str, flow: Flow) -> AuthorizationRule:
    """What a service's own pods let through."""
    if trust.at_waypoint(name, flow):
        source = Source(principals=(trust.principal(WAYPOINT),))
    elif trust.is_request(name, flow):
        return _requests(trust, flow)
    else:
        source = _source(trust, flow.source)
    return AuthorizationRule(
        from_=(From(source=source),), to=(To(operation=Operation(ports=(str(flow.port),))),)
    )


def _requests(trust: Trust, flow: Flow) -> AuthorizationRule:
    """Requests to an MCP server; it has no other methods and paths."""
    operation = Operation(ports=(str(flow.port),), methods=("POST",), paths=(MCP_PATH,))
    return AuthorizationRule(from_=(From(source=_source(trust, flow.source)),), to=(To(operation=operation),))


def _source(trust: Trust, party: Party) -> Source:
    if isinstance(party, Pods):
        members = trust.members(party)
        return Source(principals=tuple(trust.principal(trust.proxies.get(name, name)) for name in members))
    if isinstance(party, Networks):
        # The stack's own pods, whose addresses may be among them, have rules of their own.
        return Source(ip_blocks=party.cidrs, not_namespaces=(trust.stack.namespace,))
    account = trust.mesh.callers.get(party.name)
    if account is None:
        # Nobody of the mesh; which of the others, network policies say.
        return Source(not_principals=("*",))
    return Source(principals=(trust.principal(account, party.name),))


def _gateway(name: str) -> TargetReference:
    return TargetReference(group=GROUP, kind="Gateway", name=name)
