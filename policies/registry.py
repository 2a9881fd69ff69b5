"""The one table of all rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from policies.family import Family
from policies.rule import Rule
from policies.rules import (
    availability,
    aws_access,
    aws_data,
    aws_storage,
    data,
    dns,
    docker,
    docker_running,
    edge,
    exemption,
    external_secrets,
    hardening,
    health,
    images,
    jobs,
    labels,
    mcp,
    mesh,
    mesh_mode,
    namespace,
    network,
    observability,
    program,
    pss_baseline,
    pss_restricted,
    rbac,
    resources,
    scaling,
    secrets,
    telemetry,
)

FAMILIES: Final[tuple[Family, ...]] = (
    pss_baseline.FAMILY,
    pss_restricted.FAMILY,
    hardening.FAMILY,
    resources.FAMILY,
    health.FAMILY,
    images.FAMILY,
    network.FAMILY,
    dns.FAMILY,
    secrets.FAMILY,
    external_secrets.FAMILY,
    availability.FAMILY,
    scaling.FAMILY,
    jobs.FAMILY,
    rbac.FAMILY,
    namespace.FAMILY,
    labels.FAMILY,
    mesh.FAMILY,
    mesh_mode.FAMILY,
    edge.FAMILY,
    data.FAMILY,
    observability.FAMILY,
    telemetry.FAMILY,
    mcp.FAMILY,
    aws_storage.FAMILY,
    aws_access.FAMILY,
    aws_data.FAMILY,
    docker.FAMILY,
    docker_running.FAMILY,
    program.FAMILY,
    exemption.FAMILY,
)


def _table() -> dict[str, Rule]:
    table: dict[str, Rule] = {}
    for family in FAMILIES:
        for rule in family.rules:
            if rule.id in table:
                raise ValueError(f"two rules are called {rule.id}")
            table[rule.id] = rule
    return table


RULES: Final[Mapping[str, Rule]] = _table()
"""Every rule by id, families in order."""


def rules_of(families: frozenset[str]) -> list[Rule]:
    """The rules of these families, of all when the set is empty.

    Raises:
        KeyError: A family that doesn't exist; its argument is the name.
    """
    unknown = families - {family.name for family in FAMILIES}
    if unknown:
        raise KeyError(min(unknown))
    return [rule for rule in RULES.values() if not families or rule.family in families]
