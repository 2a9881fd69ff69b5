"""The load generator: built from load/, run as a process, its result read."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.gateway.messages import Message
from infra.cluster import Report
from infra.cluster.golang import find_go
from infra.cluster.spec import home
from infra.errors import PlatformError

SOURCES = Path(__file__).parent / "load"
GRACE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds."""

    mean: float
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one run of the generator saw; the fields are those of load/result.go."""

    connections: int
    rate: float
    seconds: float
    sent: int
    unsent: int
    good: int
    throughput: float
    errors: dict[str, int]
    statuses: dict[str, int]
    latency_ms: Latency | None
    refused_ms: Latency | None

    @property
    def failed(self) -> int:
        """Requests that got no good answer."""
        return sum(self.errors.values())

    def data(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Load:
    """How requests are sent: closed loop, or with a `rate` a second open loop; ends at count or seconds."""

    connections: int
    count: int = 0
    rate: float = 0
    seconds: float = 60
    reconnect: bool = False

    def arguments(self) -> list[str]:
        """The generator's command line."""
        words = ["-connections", str(self.connections), "-seconds", str(self.seconds)]
        if self.count:
            words += ["-count", str(self.count)]
        if self.rate:
            words += ["-rate", str(self.rate)]
        return [*words, "-reconnect"] if self.reconnect else words


class Generator:
    """The built program."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def run(self, url: str, message: Message, load: Load, *, token: str = "") -> LoadResult:
        """Send a message over and over.

        Raises:
            PlatformError: the generator failed (a failing server is a result, not an error).
        """
        headers = dict(message.headers)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        with tempfile.NamedTemporaryFile() as body:
            body.write(message.body)
            body.flush()
            command = [str(self._program), "-url", url, "-body", body.name, "-expect", message.expect]
            for name, value in headers.items():
                command += ["-header", f"{name}: {value}"]
            done = subprocess.run(
                [*command, *load.arguments()],
                capture_output=True,
                text=True,
                check=False,
                timeout=load.seconds + GRACE_SECONDS,
            )
        if done.returncode != 0:
            raise PlatformError(f"the load generator failed: {done.stderr.strip()}")
        return parse_result(done.stdout)


def parse_result(text: str) -> LoadResult:
    """The generator's JSON.

    Raises:
        PlatformError: it is not the JSON that load/result.go writes.
    """
    try:
        data: dict[str, Any] = json.loads(text)
        for key in ("latency_ms", "refused_ms"):
            data[key] = Latency(**data[key]) if data[key] is not None else None
        return LoadResult(**data)
    except (ValueError, KeyError, TypeError) as error:
        raise PlatformError(f"the load generator's result can't be read: {error}") from None


def build(report: Report) -> Generator:
    """Build the generator unless these very sources are built already.

    Raises:
        PlatformError: no Go, or the sources don't build.
    """
    digest = hashlib.sha256()
    for source in sorted(SOURCES.glob("*")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    program = home() / "bench" / f"load-{digest.hexdigest()[:16]}"
    if not program.exists():
        report("building the load generator")
        program.parent.mkdir(parents=True, exist_ok=True)
        go = find_go(home(), report)
        done = subprocess.run(
            [str(go), "build", "-trimpath", "-o", str(program), "."],
            cwd=SOURCES,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
        if done.returncode != 0:
            raise PlatformError(f"the load generator doesn't build:\n{done.stderr.strip()}")
    return Generator(program)
