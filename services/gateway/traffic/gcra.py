"""The generic cell rate algorithm: one number per limit, the time at which it will be idle again.

A request moves that time on by the interval between two requests. It is refused where this would lead further
ahead of now than the burst allows; then none of its limits is charged. Times are whole microseconds.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.gateway.config import Rate

MICROSECONDS: Final = 1_000_000
MAX_KEYS: Final = 20_000
"""What one process remembers; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Quota:
    """One limit that a request counts against."""

    scope: str
    """`gateway`, `principal` or `tool`."""
    key: str
    interval: int
    """Microseconds between two requests."""
    tolerance: int
    """Microseconds that the idle time may be ahead: the interval times the burst."""

    @classmethod
    def of(cls, scope: str, key: str, rate: Rate) -> "Quota":
        """A rate, counted under `key`."""
        interval = max(1, round(MICROSECONDS / rate.per_second))
        return cls(scope, key, interval, interval * rate.burst)


@dataclass(frozen=True, slots=True)
class Refused:
    """The limit that a request is over."""

    quota: Quota
    seconds: float
    """Until it would be let in, if nobody else came."""


class LocalGcra:
    """Counts in this process."""

    def __init__(self) -> None:
        self._idle_at: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._idle_at)

    def check(self, quotas: Sequence[Quota]) -> Refused | None:
        """Charge all of `quotas`, or none and say which is exceeded most."""
        now = time.monotonic_ns() // 1000
        ahead = [max(self._idle_at.get(it.key, 0), now) + it.interval for it in quotas]
        excess, worst = max(
            (
                (after - it.tolerance - now, index)
                for index, (it, after) in enumerate(zip(quotas, ahead, strict=True))
            ),
            default=(0, 0),
        )
        if excess > 0:
            return Refused(quotas[worst], excess / MICROSECONDS)
        for it, after in zip(quotas, ahead, strict=True):
            self._idle_at.pop(it.key, None)  # so that the order is that of the last use
            self._idle_at[it.key] = after
        while len(self._idle_at) > MAX_KEYS:
            del self._idle_at[next(iter(self._idle_at))]
        return None

    def ahead(self, key: str) -> int:
        """By how much the limit's idle time is ahead of now."""
        return max(0, self._idle_at.get(key, 0) - time.monotonic_ns() // 1000)

    def forget(self, key: str) -> None:
        """Count from nothing again."""
        self._idle_at.pop(key, None)


SCRIPT: Final = """
-- Checks of several requests, one after the other. KEYS: the limits of all. ARGV: for each request how many
-- limits it has, then interval and tolerance of each. Answers per request: which limit is exceeded most
-- (from 1; 0: none) and by how many microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local idle_at, changed, answers = {}, {}, {}
local key, arg = 0, 1
while arg <= #ARGV do
  local count = tonumber(ARGV[arg])
  local worst, excess, ahead = 0, 0, {}
  for i = 1, count do
    local name = KEYS[key + i]
    local idle = idle_at[name] or tonumber(redis.call('GET', name) or now)
    idle_at[name] = idle
    ahead[i] = math.max(idle, now) + tonumber(ARGV[arg + 2 * i - 1])
    local over = ahead[i] - tonumber(ARGV[arg + 2 * i]) - now
    if over > excess then worst, excess = i, over end
  end
  if worst == 0 then
    for i = 1, count do
      idle_at[KEYS[key + i]] = ahead[i]
      changed[KEYS[key + i]] = true
    end
  end
  answers[#answers + 1] = worst
  answers[#answers + 1] = excess
  key = key + count
  arg = arg + 1 + 2 * count
end
for name, _ in pairs(changed) do
  redis.call('SET', name, string.format('%.0f', idle_at[name]), 'PX', math.ceil((idle_at[name] - now) / 1000))
end
return answers
"""
