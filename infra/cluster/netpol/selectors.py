"""Label selectors, as Kubernetes evaluates them (meta/v1 LabelSelector)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.errors import PlatformError


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a selector matches labels; an empty one matches everything.

    Raises:
        PlatformError: An operator that this version doesn't know: guessing would open or close a way.
    """
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or [])


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or []
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            raise PlatformError(f"a label selector has the operator {operator!r}, which is not known")
