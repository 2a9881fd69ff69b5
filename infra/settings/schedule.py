"""When something is run: cron expressions as Kubernetes reads them, and how far apart their moments are."""

from __future__ import annotations

import zoneinfo
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, Final

from pydantic import AfterValidator

_FIELDS: Final = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 6))
_NAMES: Final = {
    "month": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "weekday": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
_WANTED: Final = "must be five fields of cron (minute hour day month weekday), such as 17 1 * * *"
_UNRESTRICTED: Final = frozenset("*?")
"""Where a field begins so, the other of day and weekday decides; otherwise either does."""
_DAY: Final = 86_400
_FIRST: Final = date(2024, 1, 1)
_YEARS: Final = timedelta(days=8 * 366)
"""A schedule may name the 29th of February."""


def longest_gap(schedule: str) -> int:
    """The most seconds between two moments of a valid schedule; changes of the clock are left out."""
    minutes, hours, days, months, weekdays = _parse(schedule)
    moments = sorted(3600 * hour + 60 * minute for hour in hours for minute in minutes)
    either = _UNRESTRICTED.isdisjoint((schedule.split()[2][0], schedule.split()[4][0]))
    dates: list[int] = []
    for number in range(_YEARS.days):
        day = _FIRST + timedelta(days=number)
        on_day, on_weekday = day.day in days, day.isoweekday() % 7 in weekdays
        if day.month in months and (on_day or on_weekday if either else on_day and on_weekday):
            dates.append(number)
    within = max((later - earlier for earlier, later in _pairs(moments)), default=0)
    over_night = max((later - earlier for earlier, later in _pairs(dates)), default=_YEARS.days)
    return max(within, over_night * _DAY + moments[0] - moments[-1])


def _pairs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(numbers))


def _parse(schedule: str) -> list[set[int]]:
    words = schedule.lower().split()
    if len(words) != len(_FIELDS):
        raise ValueError(_WANTED)
    return [_field(word, *field) for word, field in zip(words, _FIELDS, strict=True)]


def _field(word: str, name: str, least: int, most: int) -> set[int]:
    return {number for part in word.split(",") for number in _range(part, name, least, most)}


def _range(part: str, name: str, least: int, most: int) -> range:
    where, slash, step = part.partition("/")
    first, dash, last = where.partition("-")
    if first in {"*", "?"} and not dash:
        low, high = least, most
    else:
        low = _number(first, name)
        high = _number(last, name) if dash else most if slash else low
    every = _number(step, "") if slash else 1
    if not least <= low <= high <= most or every < 1:
        raise ValueError(f"{_WANTED}; {name} {part} is not within {least}-{most}")
    return range(low, high + 1, every)


def _number(text: str, name: str) -> int:
    names = _NAMES.get(name, ())
    if text in names:
        return names.index(text) + (name == "month")
    if not (text.isascii() and text.isdigit()):
        raise ValueError(_WANTED)
    return int(text)


def _schedule(text: str) -> str:
    _, _, days, months, _ = _parse(text)
    if text.split()[4][0] in _UNRESTRICTED and not any(
        _exists(month, day) for month in months for day in days
    ):
        raise ValueError("must name a day that there is")
    return text


def _exists(month: int, day: int) -> bool:
    try:
        date(_FIRST.year, month, day)
    except ValueError:
        return False
    return True


def _time_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise ValueError("must be a time zone such as Europe/Berlin or Etc/UTC") from error
    return name


Cron = Annotated[str, AfterValidator(_schedule)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
