"""What clients saw, call by call; looked through when all is over, not while it happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median


class Outcome(StrEnum):
    """What a client knows of its call in the end."""

    OK = "ok"
    """It was carried out, and the result is this call's."""
    FAIL = "fail"
    """It was refused, or failed, and the answer says so as MCP or HTTP has it."""
    UNKNOWN = "unknown"
    """No answer: it may have been carried out or not."""
    WRONG = "wrong"
    """What no fault excuses: another call's result, no JSON-RPC, a 500, or no answer for far too long."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One call."""

    target: str
    """Which gateway it went to."""
    tool: str
    began: float
    ended: float
    outcome: Outcome
    detail: str = ""
    """The kind of failure."""

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class History:
    """All calls, in the order of their ends."""

    entries: list[Entry] = field(default_factory=list[Entry])

    def __len__(self) -> int:
        return len(self.entries)

    def where(self, matches: Callable[[Entry], bool]) -> History:
        return History([entry for entry in self.entries if matches(entry)])

    def of(self, tool: str) -> History:
        return self.where(lambda it: it.tool == tool)

    def since(self, moment: float) -> History:
        """What began then or later."""
        return self.where(lambda it: it.began >= moment)

    def before(self, moment: float) -> History:
        """What had ended by then."""
        return self.where(lambda it: it.ended <= moment)

    def count(self, outcome: Outcome) -> int:
        return sum(it.outcome is outcome for it in self.entries)

    @property
    def kinds(self) -> Counter[str]:
        """How often each outcome came, with its detail."""
        return Counter(f"{it.outcome} {it.detail}".strip() for it in self.entries)

    @property
    def longest(self) -> float:
        return max((it.seconds for it in self.entries), default=0.0)

    @property
    def median(self) -> float:
        return median(it.seconds for it in self.entries)

    def check(self, *, within: float, allowed: Iterable[str] = (), what: str = "") -> None:
        """Nothing went wrong in a way that no fault excuses, nothing hung, and nothing else failed.

        Args:
            within: the longest that any call may have taken, in seconds.
            allowed: kinds of failures that the fault explains.
            what: named where it isn't so.
        """
        assert self.entries, "no calls at all"
        wrong = self.where(lambda it: it.outcome is Outcome.WRONG)
        assert not wrong.entries, (what, wrong.kinds)
        unexplained = set(self.kinds) - {"ok", *allowed}
        assert not unexplained, (what, self.kinds)
        assert self.longest < within, (what, self.longest)
