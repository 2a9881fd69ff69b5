"""What is withheld at present: alerted once, counted, and listed for who may approve it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.gateway.pinning.approved import Reason
from services.gateway.pinning.listing import Key
from services.kit.logs import get_logger

MAX_PER_SERVER: Final = 1000
"""How many are listed; a server can invent names without end. All of them are withheld."""
LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Withheld:
    """One tool or prompt that isn't what was approved."""

    server: str
    kind: str
    name: str
    reason: Reason
    sha256: str | None
    """Of what the server lists; None where it is malformed, or replicas differ."""
    approved_sha256: str | None
    since: str
    """RFC 3339, by this process."""


class Register(Collector):
    """Remembers what is withheld of each server."""

    def __init__(self, violations: Counter, *, enforced: bool) -> None:
        self._violations = violations
        self._message = "withheld: not as approved" if enforced else "not as approved, let through"
        self._servers: dict[str, dict[Key, Withheld]] = {}

    def replace(self, server: str, found: Mapping[Key, tuple[Reason, str | None, str | None]]) -> None:
        """Make `found` (reason, listed and approved digest) what is withheld of the server."""
        before = self._servers.get(server, {})
        now: dict[Key, Withheld] = {}
        for key, (reason, listed, approved) in list(found.items())[:MAX_PER_SERVER]:
            known = before.get(key)
            if known is not None and (known.reason, known.sha256) == (reason, listed):
                now[key] = known
                continue
            since = datetime.now(UTC).isoformat(timespec="seconds")
            now[key] = Withheld(server, key[0], key[1][:LONGEST_NAME], reason, listed, approved, since)
            self._alert(now[key])
        self._servers[server] = now

    def keep_only(self, servers: Iterable[str]) -> None:
        """Forget servers that are gone."""
        for server in self._servers.keys() - set(servers):
            del self._servers[server]

    def all(self) -> list[dict[str, Any]]:
        """Everything that is withheld, as JSON data."""
        found = [it for server in self._servers.values() for it in server.values()]
        return [asdict(it) for it in sorted(found, key=lambda it: (it.server, it.kind, it.name))]

    def collect(self) -> Iterable[Metric]:
        """How many there are, by server and reason."""
        family = GaugeMetricFamily(
            "mcp_tools_withheld",
            "Tools and prompts that aren't as they were approved.",
            labels=["server", "reason"],
        )
        for server, found in self._servers.items():
            for reason in Reason:
                family.add_metric([server, reason], sum(it.reason is reason for it in found.values()))
        yield family

    def _alert(self, it: Withheld) -> None:
        self._violations.labels(f"definition_{it.reason}").inc()
        get_logger().warning(
            self._message,
            server=it.server,
            kind=it.kind,
            name=it.name,
            reason=str(it.reason),
            sha256=it.sha256,
            approved_sha256=it.approved_sha256,
        )
