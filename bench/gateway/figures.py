"""The measurements. Each takes targets and gives samples or load results; none judges them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.gateway.generator import Generator, Load, LoadResult
from bench.gateway.messages import Message, initialize, junk, search, tools_list
from bench.gateway.targets import LAST_TOOL, LAST_TOOL_QUERY, Gateway, Target
from infra.cluster import Report

WARM_UP = Load(connections=16, count=200, seconds=10)
CPU_CONNECTIONS = 16
BUSY_CONNECTIONS = 64
ROUND_SECONDS = 10.0
IN_FLIGHT_CALLS = 2000
LIST_CALLS = 30
JUNK_REQUESTS = 10_000
ABANDONED_SESSIONS = 1_500
OPEN_LOOP_CONNECTIONS = 512


@dataclass(slots=True)
class TargetFigures:
    """What was measured of one target, a value a round.

    Attributes:
        cpu_ms: CPU time of the target's process per request sent.
        busy: Closed loop with `BUSY_CONNECTIONS`.
        memory_mib: Proportional set size after all rounds.
    """

    cpu_ms: list[float] = field(default_factory=list[float])
    busy: list[LoadResult] = field(default_factory=list[LoadResult])
    memory_mib: float = 0.0


@dataclass(frozen=True, slots=True)
class Sustained:
    """One open-loop run, with what the target's process used meanwhile."""

    target: str
    result: LoadResult
    cpu_ms: float
    memory_before_mib: float
    memory_after_mib: float


class Bench:
    """Measures with one generator; every run is a closed or open loop of one message."""

    def __init__(self, generator: Generator, report: Report) -> None:
        self._generator = generator
        self._report = report

    def compare(self, targets: Sequence[Target], *, calls: int, rounds: int) -> dict[str, TargetFigures]:
        """CPU time and a busy closed loop of each target.

        All targets are measured in each round, so that a machine that is busy for a while is busy for all.
        """
        figures = {target.name: TargetFigures() for target in targets}
        for target in targets:
            self._run(target, WARM_UP)
        for number in range(rounds):
            self._report(f"round {number + 1} of {rounds}")
            for target in targets:
                mine = figures[target.name]
                load = Load(CPU_CONNECTIONS, count=calls, seconds=ROUND_SECONDS)
                mine.cpu_ms.append(self._with_cpu(target, load)[1])
                mine.busy.append(
                    self._run(target, Load(BUSY_CONNECTIONS, count=calls, seconds=ROUND_SECONDS))
                )
                mine.memory_mib = target.process.proportional_mib()
        return figures

    def in_flight(self, targets: Sequence[Target]) -> dict[str, LoadResult]:
        """`BUSY_CONNECTIONS` calls in flight all the time at servers that wait rather than work."""
        load = Load(BUSY_CONNECTIONS, count=IN_FLIGHT_CALLS, seconds=ROUND_SECONDS)
        return {target.name: self._run(target, load) for target in targets}

    def steady(self, target: Target, *, rate: float, seconds: float) -> Sustained:
        """Calls at a fixed rate, however fast they are answered."""
        self._report(f"{target.name}: {rate:g}/s for {seconds:g} s")
        before = target.process.resident_mib()
        result, cpu_ms = self._with_cpu(target, Load(OPEN_LOOP_CONNECTIONS, rate=rate, seconds=seconds))
        return Sustained(target.name, result, cpu_ms, before, target.process.resident_mib())

    def listing(self, gateway: Gateway) -> LoadResult:
        """A thousand tools listed, one list after the other."""
        return self._one_by_one(gateway, tools_list(LAST_TOOL))

    def search(self, gateway: Gateway, server: str) -> LoadResult:
        """A thousand tools searched, one search after the other."""
        return self._one_by_one(gateway, search(LAST_TOOL_QUERY, f"{server}__{LAST_TOOL}"))

    def junk_memory(self, gateway: Gateway) -> tuple[list[float], dict[str, dict[str, int]]]:
        """Resident MiB after each quarter of the junk, and the statuses of each kind."""
        kinds = junk()
        sizes = [gateway.process.resident_mib()]
        statuses: dict[str, dict[str, int]] = {}
        for kind, message in kinds.items():
            load = Load(CPU_CONNECTIONS, count=JUNK_REQUESTS // len(kinds), seconds=120)
            result = self._generator.run(gateway.url, message, load, token=gateway.token)
            statuses[kind] = result.statuses
            sizes.append(gateway.process.resident_mib())
        return sizes, statuses

    def session_memory(self, gateway: Gateway) -> tuple[list[float], dict[str, int]]:
        """Resident MiB before and after sessions that nobody uses, and what their begin was answered with."""
        before = gateway.process.resident_mib()
        load = Load(CPU_CONNECTIONS, count=ABANDONED_SESSIONS, seconds=120, reconnect=True)
        result = self._generator.run(gateway.url, initialize(), load, token=gateway.token)
        time.sleep(1)  # the last connections close
        return [before, gateway.process.resident_mib()], result.statuses

    def _one_by_one(self, gateway: Gateway, message: Message) -> LoadResult:
        load = Load(connections=1, count=LIST_CALLS, seconds=60)
        return self._generator.run(gateway.url, message, load, token=gateway.token)

    def _run(self, target: Target, load: Load) -> LoadResult:
        return self._generator.run(target.url, target.message, load, token=target.token)

    def _with_cpu(self, target: Target, load: Load) -> tuple[LoadResult, float]:
        """A run, and the milliseconds of CPU time per request that the target's process used in it."""
        before = target.process.cpu_seconds()
        result = self._run(target, load)
        used = target.process.cpu_seconds() - before
        return result, used * 1000 / max(result.sent, 1)
