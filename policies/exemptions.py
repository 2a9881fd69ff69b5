"""Exemptions: an annotation that excuses one object from one rule, with a reason and until a day.

    metadata:
      annotations:
        mcp-platform.dev/policy-exempt: |
          read-only-root-fs: the vendor's image writes to /opt (until 2027-03-31)

or as JSON: `{"read-only-root-fs": {"reason": "…", "until": "2027-03-31"}}`. What can't be read excuses
nothing and is a finding of the rule `exemption-valid`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from policies.node import MalformedError, Node
from policies.objects import KubernetesObject

ANNOTATION: Final = "mcp-platform.dev/policy-exempt"

VALIDITY: Final = "exemption-valid"
"""The rule about exemptions, from which there is none."""

LONGEST: Final = timedelta(days=366)
_LINE: Final = re.compile(r"(?P<rule>[a-z0-9-]+)\s*:\s*(?P<reason>.*?)\s*\(until (?P<until>[^()]*)\)\Z")


@dataclass(frozen=True, slots=True)
class Exemption:
    """One rule that an object is excused from, up to and including the day `until`."""

    rule: str
    reason: str
    until: date

    def covers(self, rule: str, today: date) -> bool:
        """It excuses this rule today."""
        return self.rule == rule != VALIDITY and today <= self.until <= today + LONGEST


@dataclass(frozen=True, slots=True)
class BadExemption:
    """A part of the annotation that excuses nothing, and why."""

    text: str
    problem: str


def annotation_of(subject: KubernetesObject) -> Node:
    """The annotation's node; absent on nearly every object."""
    return subject.annotations.key(ANNOTATION)


def exemptions_of(subject: KubernetesObject) -> list[Exemption]:
    """The readable exemptions of an object, expired ones included."""
    try:
        return [item for item in read_exemptions(subject) if isinstance(item, Exemption)]
    except MalformedError:
        return []  # the rule `exemption-valid` reports it


def read_exemptions(subject: KubernetesObject) -> list[Exemption | BadExemption]:
    """Everything the object's annotation holds; empty when it has none or its value is unknown."""
    text = annotation_of(subject).text()
    if text is None:
        return []
    if text.lstrip().startswith("{"):
        return _from_json(text)
    return [_from_line(line) for raw in re.split(r"[\n;]", text) if (line := raw.strip())]


def _from_line(line: str) -> Exemption | BadExemption:
    match = _LINE.match(line)
    if match is None:
        return BadExemption(line, "must read `rule-id: reason (until YYYY-MM-DD)`")
    return _exemption(line, match["rule"], match["reason"], match["until"])


def _from_json(text: str) -> list[Exemption | BadExemption]:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        return [BadExemption(text[:80], f"is not JSON: {error}")]
    return [
        _exemption(rule, rule, entry.get("reason"), entry.get("until"))
        if isinstance(entry, dict)
        else BadExemption(rule, 'must be an object with "reason" and "until"')
        for rule, entry in content.items()
    ]


def _exemption(text: str, rule: str, reason: Any, until: Any) -> Exemption | BadExemption:  # noqa: ANN401 - from JSON
    if not isinstance(reason, str) or not reason.strip():
        return BadExemption(text, "gives no reason")
    try:
        # The library takes other forms, too, such as 2027-W05-7.
        return Exemption(rule, reason.strip(), date(*map(int, str(until).split("-"))))
    except (TypeError, ValueError):
        return BadExemption(text, f"has no day YYYY-MM-DD at which it ends, but {until!r}")
