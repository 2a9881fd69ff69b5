"""Generated values, kept in the cluster that uses them: made once, and never written anywhere else."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from infra.engine.generate import GENERATORS, make
from infra.engine.graph import UNKNOWN, Data, Graph, Resource
from infra.engine.kubectl import Kubectl
from infra.errors import PlatformError

NAME: Final = "mcp-platform-generated"
_KEY: Final = "values.json"

Values = Mapping[str, Mapping[str, Any]]
"""Outputs of generated resources, by URN."""


def read(kubectl: Kubectl, namespace: str) -> Values | None:
    """What was made before, or None if nothing was, or it is gone."""
    secret = kubectl.get("secret", namespace, NAME)
    return json.loads(base64.b64decode(secret["data"][_KEY])) if secret else None


def complete(kubectl: Kubectl, graph: Graph, namespace: str) -> Values:
    """Read the values of a graph's resources, make those that are missing, and store them.

    Raises:
        PlatformError: Everything is gone while there are volumes whose data need it.
    """
    stored = read(kubectl, namespace)
    values = made(graph, stored or {})
    if stored is None and values:
        _refuse_if_data(kubectl, namespace)
    if values != (stored or {}):
        _store(kubectl, namespace, values)
    return values


def made(graph: Graph, stored: Values) -> Values:
    """The stored values, and new ones for those of a graph's resources that have none.

    A resource that moved within the program (another URN, the same type and name) keeps its value.
    """
    wanted = [resource for resource in graph.resources if resource.type in GENERATORS]
    values = dict(stored)
    orphans = values.keys() - {resource.urn for resource in wanted}
    for resource in wanted:
        if resource.urn not in values:
            values[resource.urn] = _moved(resource, orphans, values) or _made(resource)
    return values


def _refuse_if_data(kubectl: Kubectl, namespace: str) -> None:
    claims = [item["metadata"]["name"] for item in kubectl.list("persistentvolumeclaims", namespace)]
    if claims:
        raise PlatformError(
            f"the Secret {namespace}/{NAME} is gone, but the volumes whose data need its passwords "
            f"are there: {', '.join(claims)}",
            hint="restore the Secret from a backup, or delete the data with `mcpctl down --allow-data-loss`",
        )


def _moved(resource: Resource, orphans: set[str], values: Values) -> Mapping[str, Any] | None:
    found = [urn for urn in orphans if urn.endswith((f"::{_tail(resource)}", f"${_tail(resource)}"))]
    return values[found[0]] if len(found) == 1 else None


def _tail(resource: Resource) -> str:
    return f"{resource.type}::{resource.name}"


def _made(resource: Resource) -> dict[str, str]:
    if _unknown(resource.inputs):
        raise PlatformError(f"{resource.urn}: its inputs must be known before the deployment")
    return make(resource.type, resource.inputs)


def _unknown(inputs: Mapping[str, Data]) -> bool:
    return any(value is UNKNOWN for value in inputs.values())


def _store(kubectl: Kubectl, namespace: str, values: Values) -> None:
    kubectl.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": NAME,
                    "namespace": namespace,
                    "labels": {"app.kubernetes.io/part-of": "mcp-platform"},
                },
                "data": {_KEY: base64.b64encode(json.dumps(values, sort_keys=True).encode()).decode()},
            }
        ]
    )
