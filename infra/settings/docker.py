"""What a stack on a Docker engine can't have: the settings that only a Kubernetes gives a meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from infra.settings.fields import Group, reject
from infra.settings.groups import Store
from infra.settings.servers import AnyServer, CustomServer, FilesystemServer

if TYPE_CHECKING:
    from infra.settings.model import Settings

EVERYWHERE: Final = "0.0.0.0/0"
"""What a container that is let out at all gets: Docker can't tell one address from another."""

_GROUPS: Final = frozenset(
    {"auth", "cluster", "environment", "gateway", "images", "postgres", "redis", "servers"}
)
"""All groups that a stack on Docker can have; a new one is refused until somebody makes it work there."""

_TAKEN: Final = frozenset({"edge", "migrate"})
"""A network and a service beside those that have reserved names everywhere."""

_SCALING: Final = ("replicas", "autoscaling", "disruption_budget")
_EXPOSING: Final = ("expose", "node_port", "annotations", "client_cidrs")
_REPLICATING: Final = ("replication", "single")
_VOLUME: Final = ("storage_class", "shared")


def check_docker(settings: Settings) -> None:
    """Refuse whatever only Kubernetes can do, by its key.

    Raises:
        PydanticCustomError: There is such a key.
    """
    for key in sorted(settings.model_fields_set - _GROUPS):
        reject(key, _only_kubernetes("is"))
    _refuse("gateway", settings.gateway, (*_SCALING, *_EXPOSING))
    if settings.auth.service_accounts is not None:
        reject("auth.service_accounts", _only_kubernetes("are"), settings.auth.service_accounts)
    for name, store in (("redis", settings.redis), ("postgres", settings.postgres)):
        if not isinstance(store, Store):
            reject(
                f"{name}.mode",
                "must be in-cluster, here a container: the password of another is in a Kubernetes Secret",
                store.mode,
            )
        _refuse(name, store, _REPLICATING)
        _refuse(f"{name}.volume", store.volume, _VOLUME)
    if not settings.servers:
        reject("servers", "must name at least one server: on Docker, the gateway looks for no others")
    for name, server in settings.servers.items():
        _check_server(name, server)
    if settings.production:
        reject("cluster.docker", "is one machine and not for production: name a kubeconfig context")


def _check_server(name: str, server: AnyServer) -> None:
    place = f"servers.{name}"
    if name in _TAKEN:
        reject(place, "is the name of a part of the platform; choose another")
    _refuse(place, server, _SCALING)
    if server.secret_env:
        reject(f"{place}.secret_env", "refers to Kubernetes Secrets: a stack on Docker has none")
    if isinstance(server, FilesystemServer):
        _refuse(f"{place}.volume", server.volume, _VOLUME)
    if isinstance(server, CustomServer) and server.egress_cidrs not in {(), (EVERYWHERE,)}:
        reject(
            f"{place}.egress_cidrs",
            f"must be [{EVERYWHERE}] or nothing on Docker, which can't let a container out to some "
            "addresses only",
            list(server.egress_cidrs),
        )


def _only_kubernetes(verb: str) -> str:
    return f"{verb} for stacks on Kubernetes: leave it out where cluster.docker is set"


def _refuse(place: str, group: Group, keys: tuple[str, ...]) -> None:
    for key in keys:
        if key in group.model_fields_set:
            reject(f"{place}.{key}", _only_kubernetes("is"))
