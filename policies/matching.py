"""Label selectors and pod networks, three-valued: True, False, or None when an unknown value decides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from policies.node import Node

_OF_EVERY_NAMESPACE: Final = "kubernetes.io/metadata.name"


def every(answers: Iterable[bool | None]) -> bool | None:
    """Three-valued `all`: False wins over unknown."""
    result: bool | None = True
    for answer in answers:
        if answer is False:
            return False
        if answer is None:
            result = None
    return result


def some(answers: Iterable[bool | None]) -> bool | None:
    """Three-valued `any`: True wins over unknown."""
    result: bool | None = False
    for answer in answers:
        if answer:
            return True
        if answer is None:
            result = None
    return result


def equals(left: Node, right: Node) -> bool | None:
    """Whether two values are the same."""
    if left.unknown or right.unknown:
        return None
    return left.value == right.value


def matches_labels(wanted: Node, labels: Node) -> bool | None:
    """Whether `labels` has every pair of the mapping `wanted` (a Service's selector, matchLabels)."""
    if wanted.unknown or labels.unknown:
        return None
    return every(equals(value, labels.key(name)) for name, value in wanted.entries())


def matches_selector(selector: Node, labels: Node) -> bool | None:
    """Whether a LabelSelector (matchLabels and matchExpressions) takes `labels`; an empty one does."""
    if selector.unknown or labels.unknown:
        return None
    return every(
        [
            matches_labels(selector.at("matchLabels"), labels),
            *(
                _matches_expression(expression, labels)
                for expression in selector.at("matchExpressions").items()
            ),
        ]
    )


def takes_all(selector: Node) -> bool | None:
    """Whether a selector is empty, or asks only for the label that every namespace has."""
    labels = selector.at("matchLabels")
    return every(
        [
            None if labels.unknown else not labels.value,
            *(_always_holds(expression) for expression in selector.at("matchExpressions").items()),
        ]
    )


def _always_holds(expression: Node) -> bool | None:
    operator, name = expression.key("operator"), expression.key("key")
    if operator.unknown or name.unknown:
        return None
    return operator.value == "Exists" and name.value == _OF_EVERY_NAMESPACE


def _matches_expression(expression: Node, labels: Node) -> bool | None:
    operator, name = expression.at("operator"), expression.at("key")
    values = expression.at("values").items()
    if expression.unknown or operator.unknown or name.unknown or any(value.unknown for value in values):
        return None
    label = labels.key(name.text() or "")
    if label.unknown:
        return None
    listed = label.value in [value.value for value in values]
    answers = {
        "In": not label.absent and listed,
        "NotIn": label.absent or not listed,
        "Exists": not label.absent,
        "DoesNotExist": label.absent,
    }
    return answers.get(str(operator.value), False)
