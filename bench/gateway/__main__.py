"""Command line of `make bench-gateway`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.gateway import targets
from bench.gateway.comparators import COMPARATORS
from bench.gateway.features import CACHED, everything
from bench.gateway.figures import OPEN_LOOP_CONNECTIONS, Bench
from bench.gateway.generator import build
from bench.gateway.plots import draw
from bench.gateway.record import Record, machine
from bench.gateway.stage import Stage
from bench.gateway.tables import OURS, SLOW_FORWARDED, markdown
from bench.gateway.targets import Gateway, Target, revision
from infra.errors import PlatformError

FAILED = 2
STARTS = 3
CLIMB = (0.6, 0.7, 0.8, 0.9, 1.0)
"""Rates, as parts of what a closed loop gets, among which an open loop has its peak."""
CLIMB_SECONDS = 8.0
FORWARDED = "gateway, bare app behind"
KEPT = "gateway, cached call"
GATHERED = "gateway, lists of 5 servers"
MANY = "many"
NAMES = {"forwarded": FORWARDED, "cached": KEPT, "gather": GATHERED}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, keep and draw; ends the process with 2 when a program doesn't run."""
    options = _parser().parse_args(arguments)
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            record = measure(options, Stage(folder, stack))
    except PlatformError as error:
        print(f"bench-gateway: {error}", file=sys.stderr)
        raise SystemExit(FAILED) from None
    print(markdown(record))
    print(f"kept in {record.write()}")
    if options.plots:
        for file in draw(record, options.plots):
            print(f"drawn: {file}")


def measure(options: argparse.Namespace, stage: Stage) -> Record:
    """Everything that the options ask for, one after the other."""
    record = Record(revision(), machine())
    bench = Bench(build(_say), _say)
    bare, server = targets.bare(stage), targets.server(stage)
    slow, many = targets.bare(stage, slow=True), targets.bare(stage, tools=targets.MANY_TOOLS)
    servers = {"echo": server.url, "bare": bare.url, "slow": slow.url, CACHED: bare.url}
    full = None if options.plain else everything(stage, _say)
    gateway = targets.gateway(stage, servers, full)
    ours = gateway.target("echo", OURS)
    forwarded = gateway.target("bare", FORWARDED)
    others = [COMPARATORS[name](stage, server.url, _say) for name in options.comparators]
    five = targets.gateway(stage, {f"server{number}": bare.url for number in range(5)}, full)
    kept = [gateway.cached(CACHED, KEPT), five.gather("server4__echo", GATHERED)] if full else []
    compared = [bare, server, forwarded, ours, *kept, *others]
    record.notes = {target.name: target.note for target in compared if target.note}
    record.targets = bench.compare(compared, calls=options.calls, rounds=options.rounds)
    record.features = sorted(full or ())
    record.in_flight = bench.in_flight([slow, gateway.target("slow", SLOW_FORWARDED)])
    searched = {**(full or {}), "search": {"list_all": True}}
    _single_figures(record, bench, gateway, targets.gateway(stage, {MANY: many.url}, searched))
    for _ in range(STARTS):
        started = targets.gateway(stage, {"bare": bare.url}, full)
        record.start_seconds.append(started.start_seconds)
        record.start_cpu_seconds.append(started.start_cpu_seconds)
    _open_loops(record, bench, [forwarded, *kept], options)
    return record


def _single_figures(record: Record, bench: Bench, gateway: Gateway, lister: Gateway) -> None:
    record.listing = bench.listing(lister)
    record.search = bench.search(lister, MANY)
    sizes, statuses = bench.junk_memory(gateway)
    record.memory_mib["10,000 junk requests"] = sizes
    record.statuses |= statuses
    sizes, sessions = bench.session_memory(gateway)
    record.memory_mib["1,500 abandoned sessions of 2025-11-25"] = sizes
    record.statuses["initialize"] = sessions


def _open_loops(record: Record, bench: Bench, ours: list[Target], options: argparse.Namespace) -> None:
    forwarded = ours[0]
    for target in ours:
        for rate in options.rates:
            record.steady.append(bench.steady(target, rate=rate, seconds=options.rate_seconds))
    for name, rate, seconds in options.sustain:
        target = next(it for it in ours if it.name == NAMES[name])
        record.steady.append(bench.steady(target, rate=rate, seconds=seconds))
    if options.overload:
        factor, seconds = options.overload
        busiest = max(run.throughput for run in record.targets[forwarded.name].busy)
        record.overload = [
            bench.steady(forwarded, rate=round(share * busiest), seconds=CLIMB_SECONDS) for share in CLIMB
        ]
        peak = max(run.result.throughput for run in record.overload)
        for offered, duration in ((factor * peak, seconds), (peak / 2, 10.0)):
            record.overload.append(bench.steady(forwarded, rate=round(offered), seconds=duration))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gateway",
        description="Measure the gateway on this machine. Short unless told; all processes are local.",
    )
    add = parser.add_argument
    add("--calls", type=int, default=2000, help="calls of a target in a round")
    add("--rounds", type=int, default=3, help="rounds; each measures all targets")
    add(
        "--with",
        dest="comparators",
        type=_names,
        default=[],
        metavar="NAMES",
        help=f"what to compare to, by comma: {', '.join(COMPARATORS)} (installed from PyPI, apart from us)",
    )
    add("--rates", type=_rates, default=[200.0, 500.0], help="fixed rates a second, by comma")
    add("--rate-seconds", type=float, default=5.0, help="how long each of the rates is kept")
    add(
        "--sustain",
        type=_named_pair,
        action="append",
        default=[],
        metavar="WHAT:RATE:SECONDS",
        help=f"one more fixed rate with its own time, such as cached:1000:60; WHAT: {', '.join(NAMES)}; "
        "may be repeated",
    )
    add(
        "--overload",
        type=_pair,
        metavar="FACTOR:SECONDS",
        help=f"offer a multiple of the peak ({OPEN_LOOP_CONNECTIONS} connections), such as 3:60; then half",
    )
    add("--plain", action="store_true", help="switch nothing on but tokens, access log and metrics")
    add("--plots", type=Path, metavar="FOLDER", help="draw PNG files there, such as docs/benchmarks")
    return parser


def _names(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in COMPARATORS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(COMPARATORS)}")
    return names


def _rates(text: str) -> list[float]:
    return [_positive(word) for word in text.split(",") if word]


def _pair(text: str) -> tuple[float, float]:
    first, colon, second = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is not NUMBER:SECONDS")
    return _positive(first), _positive(second)


def _named_pair(text: str) -> tuple[str, float, float]:
    name, _, pair = text.partition(":")
    if name not in NAMES:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(NAMES)}")
    return name, *_pair(pair)


def _positive(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!r} is not a number above 0")
    return number


def _say(line: str) -> None:
    print(f"· {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
