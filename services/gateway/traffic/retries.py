"""How often a request is sent again: seldom, so that retries don't finish off a server that is struggling."""

import random
from typing import Final

SHARE: Final = 0.2
"""Retries per request in the long run."""
RESERVE: Final = 10.0
"""Retries that are saved up in quiet times."""
FIRST_PAUSE_SECONDS: Final = 0.05


class RetryBudget:
    """What one server's requests may spend on retries."""

    def __init__(self) -> None:
        self._left = RESERVE
        self.spent = 0

    def earn(self) -> None:
        """A request is sent for the first time."""
        self._left = min(RESERVE, self._left + SHARE)

    def spend(self) -> bool:
        """Whether one may be sent again."""
        if self._left < 1:
            return False
        self._left -= 1
        self.spent += 1
        return True


def pause(attempt: int) -> float:
    """Seconds before attempt 2, 3, …: at random, lest callers fall in step, up to a bound that doubles."""
    return random.uniform(0, FIRST_PAUSE_SECONDS * 2 ** (attempt - 2))  # noqa: S311 - no secret
