"""What a run of the gateway's benchmark is made into: tables, a file, plots."""

import json
import math
from pathlib import Path

import pytest

from bench.gateway.figures import Sustained, TargetFigures
from bench.gateway.generator import Latency, LoadResult
from bench.gateway.plots import draw
from bench.gateway.record import Record, parse_cpu_model
from bench.gateway.tables import OURS, SLOW_FORWARDED, busy_latency, comparison, growth, markdown, table
from bench.gateway.targets import SLOW

PNG = b"\x89PNG\r\n"


def result(p50: float | None, *, rate: float = 0, failed: int = 0) -> LoadResult:
    latency = None if p50 is None else Latency(p50, p50, 2 * p50, 3 * p50, 4 * p50)
    good = 0 if p50 is None else 100
    return LoadResult(
        connections=64,
        rate=rate,
        seconds=1.0,
        sent=good + failed,
        unsent=0,
        good=good,
        throughput=float(good),
        errors={"timeout": failed} if failed else {},
        statuses={"200": good},
        latency_ms=latency,
        refused_ms=None,
    )


def record() -> Record:
    return Record(
        revision="abc1234",
        machine={"cpus": "2"},
        notes={"other": "one worker"},
        targets={
            OURS: TargetFigures([0.5, 0.7], [result(10), result(30)], 70),
            "other": TargetFigures([55.0, 50.0], [result(900, failed=3)], 300),
        },
        steady=[Sustained(OURS, result(2, rate=rate), 0.5, 70, 71) for rate in (500.0, 200.0)],
        overload=[Sustained(OURS, result(None, rate=3000, failed=9), 0.5, 70, 70)],
        start_seconds=[1.25, 3.0, 1.5],
        start_cpu_seconds=[0.8, 0.75, 0.9],
        in_flight={SLOW: result(250), SLOW_FORWARDED: result(251.5)},
        listing=result(12),
        search=result(5),
        memory_mib={"junk": [70.0, 72.0, 73.5]},
    )


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(("what", "n"), [("a", "100"), ("longer", "2")]).splitlines() == [
        "| what   |   n |",
        "|--------|----:|",
        "| a      | 100 |",
        "| longer |   2 |",
    ]


def test_targets_are_compared_by_their_least_cpu_time() -> None:
    ours, other = comparison(record().targets).splitlines()[2:]
    assert [cell.strip() for cell in ours.split("|")[2:5]] == ["0.50", "0.70", "1.0"]
    assert [cell.strip() for cell in other.split("|")[2:5]] == ["50.00", "55.00", "100.0"]
    assert other.split("|")[8].strip() == "3", "its errors are told"


def test_the_whole_run_is_written() -> None:
    text = markdown(record())
    assert "Commit abc1234; cpus: 2." in text
    assert "- other: one worker." in text
    for row in ("median", "p95"):
        assert f"added with 64 in flight, {row}" in text
    assert "1.5 ms" in text, "251.5 ms through the gateway less 250 ms without it"
    assert "1.25 s" in text, "the quickest start"
    assert "0.75 s" in text, "the start with the least work"
    assert "70.0 → 73.5 MiB (+5.0 %)" in text
    assert "Up to its peak and beyond" in text


def test_without_a_good_answer_there_is_no_latency() -> None:
    assert math.isnan(busy_latency(TargetFigures([1.0], [result(None)], 1), "p50"))


@pytest.mark.parametrize(
    ("sizes", "expected"), [([100, 90, 105], 5), ([100], 0), ([], 0), ([0, 5], 0), ([50, 40], -20)]
)
def test_growth_is_from_first_to_last(sizes: list[float], expected: float) -> None:
    assert growth(sizes) == pytest.approx(expected)


def test_a_run_is_kept_as_json(tmp_path: Path) -> None:
    data = json.loads(record().write(tmp_path / "new").read_text())
    assert data["targets"]["other"]["cpu_ms"] == [55.0, 50.0]
    assert data["targets"]["other"]["busy"][0]["errors"] == {"timeout": 3}
    assert data["steady"][0]["result"]["latency_ms"]["p95"] == 4


def test_plots_are_drawn_for_what_was_measured(tmp_path: Path) -> None:
    files = draw(record(), tmp_path / "plots")
    assert [file.name for file in files] == [
        "cpu-per-call.png",
        "latency-by-load.png",
        "cpu-by-load.png",
        "goodput-by-load.png",
    ]
    assert all(file.read_bytes().startswith(PNG) for file in files)
    assert draw(Record("", {}), tmp_path) == []


def test_the_processor_is_named() -> None:
    assert (
        parse_cpu_model("processor : 0\nmodel name\t: Some CPU @ 2: GHz\nflags : a\n") == "Some CPU @ 2: GHz"
    )
    assert parse_cpu_model("processor : 0\n") == "unknown"
