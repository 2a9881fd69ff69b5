"""`docs/policies.md`: every rule, from the registry itself (`make docs`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.family import Family
from policies.registry import FAMILIES, RULES
from policies.remedies import REMEDIES
from policies.rule import Rule

HEAD: Final = """\
# Policies

{count} rules in {families} families, made from the registry in `policies/` by `make docs`. How to use, exempt
and configure them: [the guide](guides/policies.md).

Enforcement is for dev / prod: **mandatory** stops a deployment, *advisory* is shown. Rules with ◇ look at
what a program declares, the cloud's resources too; plain manifests don't show that. Those with ⚒ can put a
violation right, at level `remediate`.
"""
_LEVELS: Final = {"mandatory": "**mandatory**", "advisory": "*advisory*", "disabled": "off"}


def reference() -> str:
    """The page's Markdown."""
    head = HEAD.format(count=len(RULES), families=len(FAMILIES))
    return "\n".join([head, *(line for family in FAMILIES for line in _family(family))])


def _family(family: Family) -> Iterator[str]:
    yield f"## `{family.name}`: {family.title}\n"
    yield "| rule | severity | dev / prod | what to do | references |\n|---|---|---|---|---|"
    yield from map(_row, family.rules)
    yield ""


def _row(rule: Rule) -> str:
    marks = " ◇" * rule.program + " ⚒" * (rule.id in REMEDIES)
    levels = " / ".join(_LEVELS[rule.enforcement[name].value] for name in ("dev", "prod"))
    names = ", ".join(f"`{_camel(name)}`" for name in rule.settings)
    cells = (
        f"`{rule.id}`{marks}<br>{rule.title}",
        rule.severity.value,
        levels,
        rule.remediation + (f" Setting: {names}." if names else ""),
        ", ".join(rule.references),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _camel(name: str) -> str:
    """As the pack's configuration has it: `backupDays`."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


if __name__ == "__main__":
    print(reference(), end="")
