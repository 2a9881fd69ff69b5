"""How a stack on Docker is: its containers as services."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from infra.engine.compose.client import SERVICE_LABEL, Compose
from infra.engine.health import PROBES, Check, Service
from infra.engine.kubectl import last_line

Container = Mapping[str, Any]


def services(compose: Compose, wanted: Iterable[str]) -> list[Service]:
    """Every service that there is, or should be, by name."""
    found = {service_of(item): item for item in compose.containers()}
    return [_service(name, found.get(name)) for name in sorted({*wanted, *found})]


def service_of(container: Container) -> str:
    """The name of the service that a container is of."""
    return str(container["Config"]["Labels"][SERVICE_LABEL])


def checks(compose: Compose, found: Sequence[Service]) -> Iterator[Check]:
    """Verify each service, then ask each store something; every result as soon as it is known."""
    if not found:
        yield Check("services", ok=False, detail=f"nothing runs as Compose project {compose.project}")
    for item in found:
        yield Check(item.name, ok=item.ready >= item.wanted, detail=item.trouble or "ready")
    names = {item.name for item in found}
    for name, command, expected in PROBES:
        if name in names:
            result = compose.run("exec", "--no-TTY", name, "sh", "-c", command)
            answer = result.out.strip()
            detail = answer if result.code == 0 else last_line(result.err)
            yield Check(f"{name} answers", ok=result.code == 0 and answer == expected, detail=detail)


def _service(name: str, container: Container | None) -> Service:
    if container is None:
        return Service(
            name=name, kind="Container", ready=0, wanted=1, restarts=0, age=None, trouble="not there"
        )
    trouble = _trouble(container)
    created = datetime.fromisoformat(container["Created"][:19]).replace(tzinfo=UTC)
    return Service(
        name=name,
        kind="Container",
        ready=0 if trouble else 1,
        wanted=1,
        restarts=int(container["RestartCount"]),
        age=(datetime.now(UTC) - created).total_seconds(),
        trouble=trouble,
    )


def _trouble(container: Container) -> str:
    """Why a container is not as it should be; "" if it is. What runs once should have ended well."""
    state = container["State"]
    once = container["HostConfig"]["RestartPolicy"]["Name"] in {"", "no"}
    if once and state["Status"] == "exited" and state["ExitCode"] == 0:
        return ""
    health = state.get("Health", {}).get("Status", "healthy")
    if state["Status"] == "running" and not once:
        return "" if health == "healthy" else str(health)
    ended = f" with {state['ExitCode']}" if state["Status"] == "exited" else ""
    killed = ", out of memory" if state.get("OOMKilled") else ""
    return f"{state['Status']}{ended}{killed}"
