"""Plots of a run, as PNG files."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.gateway.figures import Sustained
from bench.gateway.record import Record

WIDTH, HEIGHT = 8, 4  # inches
DOTS_PER_INCH = 110


def draw(record: Record, folder: Path) -> list[Path]:
    """Write the plots that the run has figures for; the files' paths."""
    mpl.use("agg")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [_cpu(record, folder / "cpu-per-call.png")] if record.targets else []
    if record.steady:
        drawn.append(_latency(record.steady, folder / "latency-by-load.png"))
        drawn.append(_cpu_by_load(record.steady, folder / "cpu-by-load.png"))
    if record.overload:
        drawn.append(_goodput(record.overload, folder / "goodput-by-load.png"))
    return drawn


def _goodput(runs: list[Sustained], file: Path) -> Path:
    """How many calls were answered well, and how promptly the others were refused."""
    figure, axes = _new("Goodput and refusals by load", "calls offered a second", "calls a second")
    runs = sorted(runs, key=lambda run: run.result.rate)
    rates = [run.result.rate for run in runs]
    axes.plot(rates, [run.result.throughput for run in runs], "o-", label="answered well")
    axes.set_ylim(bottom=0)
    delays = axes.twinx()
    delays.set_ylabel("milliseconds")
    refused = [(run.result.rate, run.result.refused_ms.p95) for run in runs if run.result.refused_ms]
    delays.plot(
        [it[0] for it in refused], [it[1] for it in refused], "s--", color="#b05030", label="refusals, p95"
    )
    delays.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=2)
    return _save(figure, file)


def _cpu(record: Record, file: Path) -> Path:
    figure, axes = _new("CPU time of one call", "milliseconds (logarithmic)", "")
    names = list(record.targets)[::-1]
    least = [min(record.targets[name].cpu_ms) for name in names]
    bars = axes.barh(names, least, color="#4472a8")
    axes.bar_label(bars, labels=[f" {value:.2f}" for value in least])
    axes.set_xscale("log")
    axes.margins(x=0.2)
    return _save(figure, file)


def _latency(runs: list[Sustained], file: Path) -> Path:
    figure, axes = _new("Latency at a fixed rate", "calls offered a second", "milliseconds")
    for target, mine in _by_target(runs).items():
        good = [(run.result.rate, run.result.latency_ms) for run in mine if run.result.latency_ms]
        rates = [rate for rate, _ in good]
        (line,) = axes.plot(rates, [latency.p50 for _, latency in good], "o-", label=f"{target}, p50")
        p95 = [latency.p95 for _, latency in good]
        axes.plot(rates, p95, "o--", color=line.get_color(), label=f"{target}, p95")
    axes.set_yscale("log")
    axes.legend()
    return _save(figure, file)


def _cpu_by_load(runs: list[Sustained], file: Path) -> Path:
    figure, axes = _new("CPU time of one call at a fixed rate", "calls offered a second", "milliseconds")
    for target, mine in _by_target(runs).items():
        axes.plot([run.result.rate for run in mine], [run.cpu_ms for run in mine], "o-", label=target)
    axes.set_ylim(bottom=0)
    axes.legend()
    return _save(figure, file)


def _by_target(runs: list[Sustained]) -> dict[str, list[Sustained]]:
    found: dict[str, list[Sustained]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.result.rate):
        found[run.target].append(run)
    return found


def _new(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def _save(figure: Figure, file: Path) -> Path:
    figure.savefig(file, metadata={"Software": None})
    return file
