"""Labels of everything that is deployed, and the selectors that find it again. Pure."""

from __future__ import annotations

from typing import Final, Literal

from infra.naming import PROJECT, Stack

Component = Literal["platform", "gateway", "server", "cache", "database", "telemetry", "backup"]
"""What part an object plays: the value of `app.kubernetes.io/component`."""

NAME: Final = "app.kubernetes.io/name"
INSTANCE: Final = "app.kubernetes.io/instance"
COMPONENT: Final = "app.kubernetes.io/component"
PART_OF: Final = "app.kubernetes.io/part-of"

CONFIG_HASH: Final = "mcp-platform.dev/config-hash"
"""Pod annotation that changes with the configuration files, so that a change rolls the pods."""

RANDOM: Final = "mcp-platform.dev/random"
"""Annotation of an ExternalSecret: which values of its entry are random, and have no other meaning."""

HELM_POLICY: Final = "helm.sh/resource-policy"
"""Annotation that says what Helm does with an object that leaves a release."""

KEEP: Final = {HELM_POLICY: "keep"}
"""It stays."""


def labels(stack: Stack, name: str, component: Component) -> dict[str, str]:
    """All labels of the object `name`. `managed-by` is left to whoever deploys it."""
    return {NAME: name, INSTANCE: stack.name, COMPONENT: component, PART_OF: PROJECT}


def selector(stack: Stack, name: str) -> dict[str, str]:
    """Labels that pick the pods of one service, and never change."""
    return {NAME: name, INSTANCE: stack.name}


def component_selector(stack: Stack, component: Component) -> dict[str, str]:
    """Labels that pick the pods of every service of one kind."""
    return {COMPONENT: component, INSTANCE: stack.name}
