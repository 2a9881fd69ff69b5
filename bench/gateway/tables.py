"""A run as tables: in Markdown for the documentation, which reads well on a terminal too."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench.gateway.figures import Sustained, TargetFigures
from bench.gateway.generator import Latency, LoadResult
from bench.gateway.record import Record
from bench.gateway.targets import SLOW

OURS = "gateway, MCP server behind"
SLOW_FORWARDED = "gateway, slow app behind"


def markdown(record: Record) -> str:
    """All tables of a run."""
    parts = [_machine(record), comparison(record.targets), _notes(record), single_figures(record)]
    if record.steady:
        parts.append(open_loop("At a fixed rate (open loop)", record.steady))
    if record.overload:
        parts.append(
            open_loop("Up to its peak and beyond (open loop); the last run follows at once", record.overload)
        )
    return "\n\n".join(part for part in parts if part) + "\n"


def comparison(targets: dict[str, TargetFigures]) -> str:
    """Every target's cost, speed at 64 connections, and memory; ratios are of CPU time to our gateway's."""
    ours = min(targets[OURS].cpu_ms) if OURS in targets else None
    rows: list[Sequence[str]] = []
    for name, figures in targets.items():
        cpu = min(figures.cpu_ms)  # others on the machine only ever add to it
        p50, p95 = busy_latency(figures, "p50"), busy_latency(figures, "p95")
        rows.append(
            (
                name,
                f"{cpu:.2f}",
                f"{max(figures.cpu_ms):.2f}",
                f"{cpu / ours:.1f}" if ours else "",
                f"{statistics.median(run.throughput for run in figures.busy):.0f}",
                f"{p50:.1f}",
                f"{p95:.1f}",
                str(sum(run.failed for run in figures.busy)),
                f"{figures.memory_mib:.0f}",
            )
        )
    header = (
        "target",
        "CPU ms a call",
        "at most",
        "of gateway's",
        "calls/s at 64",
        "p50 ms",
        "p95 ms",
        "errors",
        "MiB",
    )
    return table(header, rows)


def busy_latency(figures: TargetFigures, which: str) -> float:
    """Median over the rounds of a percentile (`p50`, `p95`) at 64 connections; NaN without a good answer."""
    values = [getattr(run.latency_ms, which) for run in figures.busy if run.latency_ms]
    return statistics.median(values) if values else float("nan")


def single_figures(record: Record) -> str:
    """What is one number for the gateway."""
    rows: list[Sequence[str]] = []
    direct, forwarded = (_latency(record.in_flight.get(name)) for name in (SLOW, SLOW_FORWARDED))
    if direct and forwarded:
        rows.append(("added with 64 in flight, median", f"{forwarded.p50 - direct.p50:.1f} ms", "≤ 2 ms"))
        rows.append(("added with 64 in flight, p95", f"{forwarded.p95 - direct.p95:.1f} ms", "≤ 10 ms"))
    if record.start_seconds:
        rows.append(("start until ready, least", f"{min(record.start_seconds):.2f} s", "≤ 1.5 s"))
        rows.append(("CPU time of a start, least", f"{min(record.start_cpu_seconds):.2f} s", ""))
    if listed := _latency(record.listing):
        rows.append(("1,000 tools listed, median", f"{listed.p50:.1f} ms", "≤ 50 ms"))
        rows.append(("1,000 tools listed, slowest", f"{listed.max:.1f} ms", ""))
    if searched := _latency(record.search):
        rows.append(("1,000 tools searched, median", f"{searched.p50:.1f} ms", ""))
        rows.append(("1,000 tools searched, slowest", f"{searched.max:.1f} ms", ""))
    for what, sizes in record.memory_mib.items():
        rows.append(
            (f"memory, {what}", f"{sizes[0]:.1f} → {sizes[-1]:.1f} MiB ({growth(sizes):+.1f} %)", "± 5 %")
        )
    return table(("gateway", "measured", "floor"), rows) if rows else ""


def _latency(result: LoadResult | None) -> Latency | None:
    return result.latency_ms if result else None


def open_loop(title: str, runs: Sequence[Sustained]) -> str:
    """Open-loop runs: latency counts from when a request was due."""
    rows: list[Sequence[str]] = []
    for run in runs:
        result = run.result
        good, refused = result.latency_ms, result.refused_ms
        rows.append(
            (
                run.target,
                f"{result.rate:.0f}",
                f"{result.seconds:.0f}",
                f"{result.throughput:.0f}",
                f"{good.p50:.1f}" if good else "-",
                f"{good.p95:.1f}" if good else "-",
                f"{refused.p95:.1f}" if refused else "-",
                str(result.failed + result.unsent),
                f"{run.cpu_ms:.2f}",
                f"{growth([run.memory_before_mib, run.memory_after_mib]):+.1f} %",
            )
        )
    header = (
        "target",
        "offered/s",
        "s",
        "good/s",
        "p50 ms",
        "p95 ms",
        "refused p95 ms",
        "errors",
        "CPU ms a call",
        "memory",
    )
    return f"{title}:\n\n{table(header, rows)}"


def growth(sizes: Sequence[float]) -> float:
    """Per cent from the first to the last; 0 where nothing was measured."""
    return (sizes[-1] / sizes[0] - 1) * 100 if sizes and sizes[0] else 0.0


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with columns of even width, numbers to the right of their first column."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    written = [_line(line, widths) for line in lines]
    rule = "|".join(f"{'-' * (width + 1)}{':' if column else '-'}" for column, width in enumerate(widths))
    return "\n".join([written[0], f"|{rule}|", *written[1:]])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join([first, *rest])} |"


def _machine(record: Record) -> str:
    words = ", ".join(f"{name}: {value}" for name, value in record.machine.items())
    features = f"\n\nSwitched on in the gateway: {', '.join(record.features)}." if record.features else ""
    return f"Commit {record.revision or 'unknown'}; {words}.{features}"


def _notes(record: Record) -> str:
    return "\n".join(f"- {name}: {note}." for name, note in record.notes.items())
