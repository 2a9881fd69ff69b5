"""What AWS's policies say to a request, conditions included, which moto passes over.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. An operator that is
not known here is an error, never a yes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

Values = Sequence[str]
NOTHING: Final[Mapping[str, Values]] = {}


def _any(same: Callable[[str, str], bool]) -> Callable[[Values, Values], bool]:
    return lambda found, wanted: any(same(one, other) for one in found for other in wanted)


_EQUAL: Final = _any(lambda one, other: one == other)
_OPERATORS: Final[Mapping[str, Callable[[Values, Values], bool]]] = {
    "StringEquals": _EQUAL,
    "StringLike": _any(fnmatchcase),
    "ArnEquals": _any(fnmatchcase),
    "Bool": _EQUAL,
    "NumericLessThan": _any(lambda one, other: float(one) < float(other)),
}


def permitted(
    documents: Iterable[str], action: str, resource: str = "", context: Mapping[str, str | Values] = NOTHING
) -> bool:
    """Whether some document allows a request, and none denies it.

    Args:
        documents: Policies as JSON.
        action: Such as `s3:GetObject`.
        resource: Its ARN; "" for trust policies, which have none.
        context: Values by condition key.
    """
    known = {key: _listed(it) for key, it in context.items()}
    effects = {
        statement["Effect"]
        for document in documents
        for statement in json.loads(document)["Statement"]
        if _applies(statement, action, resource, known)
    }
    return effects == {"Allow"}


def _listed(value: str | Values) -> Values:
    return [value] if isinstance(value, str) else list(value)


def _applies(statement: Mapping[str, Any], action: str, resource: str, known: Mapping[str, Values]) -> bool:
    assert statement.keys() <= {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
    return (
        any(fnmatchcase(action, it) for it in _listed(statement["Action"]))
        and any(fnmatchcase(resource, it) for it in _listed(statement.get("Resource", "")))
        and all(
            _holds(operator, known.get(key), _listed(wanted))
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _holds(operator: str, found: Values | None, wanted: Values) -> bool:
    name = operator.removeprefix("ForAnyValue:")
    if name.endswith("IfExists"):
        return found is None or _OPERATORS[name.removesuffix("IfExists")](found, wanted)
    if name == "StringNotEquals":  # a key that is not there differs from everything
        return found is None or not _EQUAL(found, wanted)
    return found is not None and _OPERATORS[name](found, wanted)
