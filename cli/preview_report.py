"""What a comparison of two revisions comes to: what must be acknowledged, what is known, how it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from infra.comparison.comparing import Compared, Side
from infra.comparison.cost import Estimate
from infra.comparison.cost_pods import Amount
from infra.comparison.object_changes import ObjectChange, Operation
from infra.comparison.prices import Prices
from infra.comparison.protection import Acknowledgement, Review, review
from infra.engine.violation import Violation

EXIT_FINDINGS: Final = 1

ORDER: Final = (Operation.REPLACE, Operation.DELETE, Operation.CHANGE, Operation.CREATE)
"""In which order objects are shown: first what can't be undone."""


@dataclass(frozen=True, slots=True)
class Report:
    """A comparison, with what was acknowledged of it.

    Attributes:
        compared: The comparison.
        prices: What cost was estimated with.
        review: What the acknowledgements did.
    """

    compared: Compared
    prices: Prices
    review: Review

    @classmethod
    def of(cls, compared: Compared, prices: Prices, given: Iterable[Acknowledgement]) -> Report:
        """Hold a comparison against what was acknowledged."""
        guarded = _guarded(compared)
        names = [(item.reference, item.full_reference) for item in guarded]
        return cls(compared, prices, review(names, given))

    @property
    def pending(self) -> list[ObjectChange]:
        """What is lost, and nobody has acknowledged."""
        return [
            item for place, item in enumerate(_guarded(self.compared)) if place not in self.review.covered
        ]

    @property
    def acknowledged(self) -> list[ObjectChange]:
        """What is lost, as acknowledged."""
        return [item for place, item in enumerate(_guarded(self.compared)) if place in self.review.covered]

    @property
    def mandatory(self) -> list[Violation]:
        """Findings that stop a deployment, new or not."""
        return [item for item in self.compared.new.violations if item.mandatory]

    @property
    def exit_code(self) -> int:
        """0, or 1 when something must be put right or acknowledged."""
        return EXIT_FINDINGS if self.pending or self.mandatory else 0

    @property
    def counts(self) -> dict[str, int]:
        """How many objects have each operation."""
        counted = Counter(item.operation for item in self.compared.objects.changes)
        names = {Operation.CREATE: "created", Operation.CHANGE: "changed", Operation.REPLACE: "replaced"}
        shown = {name: counted[operation] for operation, name in names.items()}
        return {**shown, "deleted": counted[Operation.DELETE], "unchanged": self.compared.objects.unchanged}

    def needed(self, item: ObjectChange) -> str:
        """What to acknowledge an object by: its short reference, or the full one where two share that."""
        short = [other.reference for other in _guarded(self.compared)]
        return item.full_reference if short.count(item.reference) > 1 else item.reference

    def ordered(self) -> list[ObjectChange]:
        """The objects by `ORDER`; those of one operation in the program's order."""
        return sorted(self.compared.objects.changes, key=lambda item: ORDER.index(item.operation))

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        compared = self.compared
        return {
            "stack": compared.stack,
            "old": _side(compared.old),
            "new": _side(compared.new),
            "seconds": round(compared.seconds, 1),
            "exit_code": self.exit_code,
            "summary": self.counts,
            "objects": [asdict(item) for item in self.ordered()],
            "loss": {
                "pending": [self.needed(item) for item in self.pending],
                "acknowledged": [self.needed(item) for item in self.acknowledged],
                "unknown": [asdict(item) for item in self.review.unknown],
                "ambiguous": [asdict(item) for item in self.review.ambiguous],
            },
            "policies": asdict(compared.policies),
            "images": [asdict(item) for item in compared.images],
            "cost": {
                "prices": {
                    "date": str(self.prices.date),
                    "region": self.prices.region,
                    "source": self.prices.source,
                    "currency": self.prices.currency,
                },
                "old": _cost(compared.old_cost),
                "new": _cost(compared.new_cost),
                "change": asdict(self.cost_change),
            },
        }

    @property
    def cost_change(self) -> Amount:
        """By how much a month's least and most change."""
        return self.compared.new_cost.total - self.compared.old_cost.total


def _guarded(compared: Compared) -> list[ObjectChange]:
    return [item for item in compared.objects.changes if item.guarded]


def _side(side: Side) -> dict[str, Any]:
    revision = side.revision
    return {
        "revision": revision.name,
        "commit": revision.commit,
        "changed_files": revision.changed,
        "has_stack": side.exists,
        "seconds": round(side.seconds, 1),
    }


def _cost(estimate: Estimate) -> dict[str, Any]:
    return {
        "month": asdict(estimate.total),
        "lines": [asdict(line) for line in estimate.lines],
        "unknown": [asdict(item) for item in estimate.unpriced],
    }
