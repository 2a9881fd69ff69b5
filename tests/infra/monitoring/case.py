"""One trial of an alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One trial of an alert.

    Attributes:
        alert: Its name.
        what: In words.
        at: When it is looked at.
        series: Input, a minute apart; `namespace` is added to each.
        says: Its summaries where it fires; none where it must not.
        labels: Those of each, beside the rule's own.
    """

    alert: str
    what: str
    at: str
    series: Mapping[str, str]
    says: tuple[str, ...] = ()
    labels: tuple[Mapping[str, str], ...] = field(default=())


def fires(alert: str, what: str, at: str, series: Mapping[str, str], says: str, **labels: str) -> Case:
    return Case(alert, what, at, series, (says,), (labels,))


def quiet(alert: str, what: str, at: str, series: Mapping[str, str]) -> Case:
    return Case(alert, what, at, series)
