"""The Docker engine that a stack runs on in place of a Kubernetes."""

from __future__ import annotations

from infra.settings.fields import Group, Port


class Docker(Group):
    """The engine that DOCKER_HOST names, or Docker's current context."""

    port: Port = 8080
    """Where the gateway is reached on this machine, at 127.0.0.1 alone."""
