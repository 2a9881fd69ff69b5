"""How a deployed stack is: its services, its release, and whether its stores answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from infra.engine.database import ask, database_in
from infra.engine.helm import Revision
from infra.engine.kubectl import Kubectl, last_line
from infra.engine.pods import Pod, pods
from infra.engine.release import Release
from infra.engine.workloads import Workload, workloads

# What the stores' containers run to prove that they answer with the password that they were given.
_PING: Final = 'REDISCLI_AUTH="$(cat /run/secrets/redis/password)" valkey-cli -e -h 127.0.0.1 ping'
_SELECT: Final = (
    'PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" '
    'psql -h 127.0.0.1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -tAc "select 1"'
)
PROBES: Final = (("redis", _PING, "PONG"), ("postgres", _SELECT, "1"))
"""For each store: its StatefulSet and container, a shell command in it, and what that must print."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One workload and its pods.

    Attributes:
        name: Its name.
        kind: Such as `Deployment`.
        ready: Pods of the newest version that are ready.
        wanted: Pods that there should be.
        restarts: Of all containers of its pods.
        age: Seconds since its oldest pod was made; None without pods.
        trouble: Why pods are not ready; "" if all are.
    """

    name: str
    kind: str
    ready: int
    wanted: int
    restarts: int
    age: float | None
    trouble: str


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was verified."""

    what: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Health:
    """A stack as it runs.

    Attributes:
        services: By kind and name.
        revision: The newest revision of the release; None where something else deploys, or nothing has yet.
    """

    services: Sequence[Service]
    revision: Revision | None

    @property
    def ready(self) -> bool:
        """Whether the stack is deployed and everything in it is ready."""
        deployed = self.revision.status == "deployed" if self.revision else bool(self.services)
        return deployed and all(item.ready >= item.wanted for item in self.services)


def health(release: Release) -> Health:
    """Ask the cluster."""
    present = pods(release.kubectl, release.namespaces)
    services = [_service(item, present) for item in workloads(release.kubectl, release.namespaces)]
    history = release.helm.history()
    return Health(services, history[-1] if history else None)


def checks(kubectl: Kubectl, namespaces: Sequence[str]) -> Iterator[Check]:
    """Verify each service, then ask each store something; every result as soon as it is known."""
    present = pods(kubectl, namespaces)
    found = workloads(kubectl, namespaces)
    if not found:
        yield Check("services", ok=False, detail=f"nothing runs in namespace {namespaces[0]}")
    for item in found:
        service = _service(item, present)
        yield Check(item.name, ok=item.ready, detail=service.trouble or item.progress)
    stores = {item.name for item in found if item.kind == "StatefulSet"}
    for name, command, expected in PROBES:
        if name in stores:
            yield _ask(kubectl, namespaces[0], name, command, expected)
    if database := database_in(kubectl, namespaces[0]):
        ok, detail = ask(kubectl, database)
        yield Check(f"{database['metadata']['name']} answers", ok=ok, detail=detail)


def _ask(kubectl: Kubectl, namespace: str, name: str, command: str, expected: str) -> Check:
    result = kubectl.run(
        "exec", f"statefulset/{name}", "--namespace", namespace, "--container", name,
        "--", "sh", "-c", command, timeout=30,
    )  # fmt: skip
    answer = result.out.strip()
    detail = answer if result.code == 0 else last_line(result.err)
    return Check(f"{name} answers", ok=result.code == 0 and answer == expected, detail=detail)


def _service(item: Workload, present: Sequence[Pod]) -> Service:
    own = [pod for pod in present if (pod.namespace, pod.workload) == (item.namespace, item.name)]
    troubles = [f"{pod.name}: {pod.reason}" for pod in own if not pod.ready and not pod.leaving]
    ages = [_age(pod.created) for pod in own]
    return Service(
        name=item.name,
        kind=item.kind,
        ready=item.current,
        wanted=item.wanted,
        restarts=sum(pod.restarts for pod in own),
        age=max(ages, default=None),
        trouble=", ".join(troubles),
    )


def _age(created: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()
