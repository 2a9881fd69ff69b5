"""Which resources can be deployed without Pulumi's engine."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from infra.engine.generate import GENERATORS
from infra.engine.graph import Graph, Resource
from infra.engine.outputs import IMAGE_TYPE
from infra.errors import PlatformError

_PREFIXES: Final = ("kubernetes:", "pulumi:")


def require_supported(graph: Graph, others: Collection[str] = ()) -> None:
    """Refuse a graph that only Pulumi can deploy.

    Args:
        graph: The evaluated stack.
        others: Types that the caller deploys beside those that every stack can have.

    Raises:
        PlatformError: It holds such a resource; the message names the first and counts the others.
    """
    found = [resource for resource in pulumi_only(graph) if resource.type not in others]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise PlatformError(
            f"stack {graph.stack}: {found[0].type} {found[0].name!r}{more} can't be deployed without Pulumi: "
            "this stack needs `pulumi up`",
            hint="install the Pulumi CLI (https://www.pulumi.com/docs/install) and use `--engine pulumi`",
        )


def pulumi_only(graph: Graph) -> list[Resource]:
    """The resources that only Pulumi can deploy."""
    return [resource for resource in graph.resources if not _supported(resource)]


def _supported(resource: Resource) -> bool:
    if resource.options.get("remote"):
        return False
    return (
        not resource.custom
        or resource.type.startswith(_PREFIXES)
        or resource.type == IMAGE_TYPE
        or resource.type in GENERATORS
    )
