"""`docs/costs.md`: what stack prod costs, by its program and the prices that previews use (`make docs`)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from infra.comparison.cost import Estimate, estimate
from infra.comparison.cost_pods import Amount
from infra.comparison.prices import load
from infra.engine.record import record

HEAD: Final = """\
# What production costs

Made from `Pulumi.prod.yaml` and `infra/comparison/prices.yaml` by `make docs`. {title},
of {source}.

Pods are priced by what they request, as if each ran on Fargate, from an autoscaler's fewest replicas to
its most; volumes and managed services by their size. Left out are traffic, discounts, taxes, snapshots,
nodes that stand idle, and what runs now and then; [the guide](guides/production.md#what-it-costs) has what
others share. What a change costs: `mcpctl preview --stack prod --offline --against main`, with
`--prices FILE` for yours.

| component | objects | {currency} a month |
|---|---|---|
"""


def reference() -> str:
    """The page's Markdown."""
    prices = load()
    title = prices.title[0].upper() + prices.title[1:]
    head = HEAD.format(title=title, source=prices.source, currency=prices.currency)
    found = estimate(record("prod"), prices)
    rows = "".join(f"| {name} | {what} | {cost} |\n" for name, what, cost in _rows(found))
    total = f"| **together** | | **{_amount(found.total)}** |\n"
    return head + rows + total + _unpriced(found)


def _rows(found: Estimate) -> Iterator[tuple[str, str, str]]:
    """By name: what belongs together has one."""
    parts = sorted(
        (line.what.partition("/")[2], line.what.partition("/")[0], line.month) for line in found.lines
    )
    for name, group in groupby(parts, key=lambda part: part[0]):
        of_name = list(group)
        yield name, ", ".join(kind for _, kind, _ in of_name), _amount(_sum(month for _, _, month in of_name))


def _sum(months: Iterator[Amount]) -> Amount:
    return sum(months, start=Amount(0, 0))


def _amount(month: Amount) -> str:
    low, high = round(month.low), round(month.high)
    return str(low) if low == high else f"{low} to {high}"


def _unpriced(found: Estimate) -> str:
    """What is charged, but not by its size."""
    by_why = sorted((item.why, item.what) for item in found.unpriced)
    lines = [
        f"- {why}: {', '.join(f'`{what}`' for _, what in group)}\n"
        for why, group in groupby(by_why, key=lambda item: item[0])
    ]
    return "\nNot in there:\n\n" + "".join(lines) if lines else ""


if __name__ == "__main__":
    print(reference(), end="")
