"""How fast and how big the platform is on this machine: `make bench`. Brings stack dev up if it is not."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path

import aiohttp

from bench.fresh import fresh_machine
from bench.table import Row, show
from cli.gateway_access import GatewayAccess
from infra.cluster import Cluster, Report, silent
from infra.engine.check import check
from infra.engine.direct import evaluate
from infra.engine.manifest import manifests
from infra.engine.record import record
from infra.engine.render import write_tree

PROTOCOL = "2026-07-28"
CALLS = 300
POLICIES = Path(__file__).resolve().parents[1] / "policies"


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


@contextlib.contextmanager
def quiet(_title: str) -> Generator[Report]:
    yield silent


def mcpctl(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "cli", *words], check=True, capture_output=True)


def cluster_start() -> Row:
    """A cluster that was never there, its programs built before; then the same one again."""
    cluster = Cluster.named("bench")
    samples: list[float] = []
    cluster.toolbox.build(silent)
    try:
        for _ in range(3):
            samples.append(seconds(lambda: cluster.up(silent, publish=False)))
            cluster.down(silent)
    finally:
        cluster.down(silent, purge=True, keep_tools=True)
    return Row("cluster start, tools built", samples, "s", "≤ 30")


def evaluation() -> Row:
    """Evaluate, check and render stack prod."""

    def once() -> None:
        graph, _ = evaluate("prod", quiet)
        with tempfile.TemporaryDirectory() as folder:
            write_tree(manifests(graph), Path(folder))

    return Row("evaluate + check + render prod", [seconds(once) for _ in range(5)], "s", "≤ 5, goal 2")


def policies() -> Row:
    """Start the policy pack, ask it about all of stack prod over its protocol, and end it."""
    graph = record("prod")

    def once() -> None:
        assert not any(item.mandatory for item in check(graph, POLICIES))

    return Row(f"policies, {len(graph.resources)} resources", [seconds(once) for _ in range(5)], "s", "≤ 3")


def unchanged_up() -> Row:
    mcpctl("up", "--yes")
    return Row(
        "up with no change", [seconds(lambda: mcpctl("up", "--yes")) for _ in range(3)], "s", "≤ 30, goal 10"
    )


def idle_memory() -> Row:
    """Proportional set size of every process of the cluster: control plane, node and pods."""
    root = Cluster.named().status().pid
    assert root is not None
    kib = sum(_pss(pid) for pid in _descendants(root))
    return Row("idle dev cluster, PSS", [kib / 1024], "MiB", "≤ 3072")


def _descendants(root: int) -> set[int]:
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):  # it ended meanwhile
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def tool_calls() -> Row:
    """One connection, one call after the other, from the host to a server behind the gateway."""
    with GatewayAccess.of("dev") as gateway:
        token = gateway.token("bench", "mcp:read mcp:call", ttl_seconds=600)
        return Row(
            "tool call through the gateway", asyncio.run(_calls(gateway.url, token)), "ms", "≤ 20 median"
        )


async def _calls(url: str, token: str) -> list[float]:
    name = "filesystem__list_allowed_directories"
    meta = {
        "io.modelcontextprotocol/protocolVersion": PROTOCOL,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": name, "arguments": {}, "_meta": meta},
    }
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": PROTOCOL,
        "Mcp-Method": "tools/call",
        "Mcp-Name": name,
    }
    samples: list[float] = []
    async with aiohttp.ClientSession(headers=headers) as session:
        for _ in range(CALLS):
            started = time.perf_counter()
            async with session.post(f"{url}/mcp", json=body) as response:
                answer = await response.json()
            samples.append((time.perf_counter() - started) * 1000)
            assert "error" not in answer, answer
            assert not answer["result"].get("isError"), answer
    return samples


def main() -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fresh", action="store_true", help="also build everything anew: 15 minutes")
    fresh = [fresh_machine()] if parser.parse_args().fresh else []
    rows = [*fresh, evaluation(), policies(), cluster_start(), unchanged_up(), tool_calls(), idle_memory()]
    show("mcp-platform on this machine", rows)


if __name__ == "__main__":
    main()
