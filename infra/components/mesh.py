"""Mutual TLS, who may call whom, and how requests are routed: what Istio is told about a stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra import gateway_api
from infra.labels import labels
from infra.mesh.authorization import Trust, build_peers, build_policies
from infra.mesh.membership import REVISION_LABEL
from infra.mesh.resources import AuthorizationPolicy, DestinationRule, PeerAuthentication, VirtualService
from infra.mesh.traffic import Server, build_destination_rule, build_http_route, build_virtual_service
from infra.mesh.waypoint import build_overlays, build_waypoint
from infra.naming import PROJECT, WAYPOINT


@dataclass(frozen=True, kw_only=True, slots=True)
class MeshArgs:
    """A stack in a mesh.

    Attributes:
        trust: Who connects to whom, and who they are.
        servers: What requests are routed to.
    """

    trust: Trust
    servers: Sequence[Server]


class Mesh(pulumi.ComponentResource):
    """Istio's objects, in either mode; with the waypoint in an ambient mesh."""

    def __init__(self, name: str, args: MeshArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:network:Mesh", name, None, opts)
        stack, mesh = args.trust.stack, args.trust.mesh
        child = pulumi.ResourceOptions(parent=self)
        own = labels(stack, PROJECT, "platform")

        def metadata(object_name: str, revision: str | None = None) -> ObjectMetaArgs:
            more = {REVISION_LABEL: revision} if revision else {}
            return ObjectMetaArgs(name=object_name, namespace=stack.namespace, labels={**own, **more})

        if mesh.mode == "ambient":
            overlays = build_overlays(stack, mesh.waypoint)
            v1.ConfigMap(WAYPOINT, metadata=metadata(WAYPOINT), data=overlays, opts=child)
            gateway_api.Gateway(WAYPOINT, metadata(WAYPOINT, mesh.revision), build_waypoint(stack), child)
        for peers, spec in build_peers(args.trust).items():
            PeerAuthentication(peers, metadata(peers), spec, child)
        for policy, spec in build_policies(args.trust).items():
            AuthorizationPolicy(policy, metadata(policy), spec, child)
        for server in args.servers:
            to = metadata(server.name)
            if mesh.mode == "ambient":
                gateway_api.HttpRoute(server.name, to, build_http_route(mesh, server), child)
            else:
                VirtualService(server.name, to, build_virtual_service(mesh, server), child)
            DestinationRule(server.name, to, build_destination_rule(mesh, server), child)
        self.register_outputs({})
