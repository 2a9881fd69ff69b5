"""What a run measured, as one JSON document."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from bench.gateway.figures import Sustained, TargetFigures
from bench.gateway.generator import LoadResult

RESULTS = Path(__file__).parents[1] / "results"


@dataclass(slots=True)
class Record:
    """A run of the benchmark.

    Attributes:
        revision: Commit of the code that was measured; `+` for a changed checkout.
        machine: What it ran on.
        features: Keys of the gateway's configuration by which more than the least was switched on.
        notes: What to know of a target, by its name.
        targets: Figures by the target's name.
        steady: Open-loop runs.
        start_seconds: The gateway's start until it was ready, several times.
        start_cpu_seconds: CPU time of each of these starts.
        in_flight: Runs with many calls in flight at a server that waits, by the target's name.
        listing: A thousand tools listed, over and over; the slowest is the first.
        search: A thousand tools searched, likewise.
        memory_mib: Resident memory of the gateway in the course of a test, by the test's name.
        statuses: HTTP statuses that those tests were answered with.
    """

    revision: str
    machine: dict[str, str]
    features: list[str] = field(default_factory=list[str])
    notes: dict[str, str] = field(default_factory=dict[str, str])
    targets: dict[str, TargetFigures] = field(default_factory=dict[str, TargetFigures])
    steady: list[Sustained] = field(default_factory=list[Sustained])
    overload: list[Sustained] = field(default_factory=list[Sustained])
    start_seconds: list[float] = field(default_factory=list[float])
    start_cpu_seconds: list[float] = field(default_factory=list[float])
    in_flight: dict[str, LoadResult] = field(default_factory=dict[str, LoadResult])
    listing: LoadResult | None = None
    search: LoadResult | None = None
    memory_mib: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    statuses: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])

    def write(self, folder: Path = RESULTS) -> Path:
        """Keep it in a file named by the time of now."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / time.strftime("gateway-%Y%m%dT%H%M%SZ.json", time.gmtime())
        file.write_text(json.dumps(asdict(self), indent=2, default=_data, sort_keys=True) + "\n")
        return file


def machine() -> dict[str, str]:
    """What the figures depend on most; nothing that names the machine."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3
    return {
        "cpu": _cpu_model(),
        "cpus": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "load average at start": f"{os.getloadavg()[0]:.2f}",
    }


def parse_cpu_model(cpuinfo: str) -> str:
    """The first `model name` of /proc/cpuinfo; "unknown" where it has none (as on some ARM machines)."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown"


def _cpu_model() -> str:
    return parse_cpu_model(Path("/proc/cpuinfo").read_text())


def _data(value: object) -> Any:  # noqa: ANN401 - any JSON
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
