"""Collectors of a stack as examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from infra.naming import Stack
from infra.settings.telemetry import Backend, Collector, Logging
from infra.telemetry import logs, parts, traces
from tests.infra.telemetry.otelcol import Otelcol

STACK = Stack("dev", production=False)
UNTIL = "2027-03-31"


def backend(url: str, **settings: Any) -> Backend:
    return Backend.model_validate({"endpoint": url, **settings})


def of_traces(folder: Path, to: Backend, **settings: Any) -> Otelcol:
    """The collector of traces, as its ConfigMap has it."""
    collector = Collector.model_validate({"export": to, **settings})
    return Otelcol(folder / "traces", parts.files(to, traces.build_config(STACK, collector)))


def of_logs(folder: Path, to: Backend, **settings: Any) -> Otelcol:
    """The collector of one node's logs, as its ConfigMap has it."""
    logging = Logging.model_validate({"export": to, "exempt_until": UNTIL, **settings})
    return Otelcol(folder / "logs", parts.files(to, logs.build_config(STACK, logging)))
