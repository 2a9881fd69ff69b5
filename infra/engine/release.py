"""One Helm release of a stack: repair what an interruption left, release a chart, undo, remove."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.cluster import Report
from infra.engine.database import is_database
from infra.engine.diagnosis import not_ready
from infra.engine.helm import GOOD, PENDING, Helm, Revision
from infra.engine.kubectl import MANAGER, Kubectl, key_of, last_line
from infra.engine.plan import MANAGED_BY, Identity, holds_volumes, is_kept
from infra.engine.process import Result
from infra.engine.readiness import Watch, wait
from infra.errors import PlatformError
from infra.labels import INSTANCE, PART_OF
from infra.naming import PROJECT

_WAITED: Final = ("context deadline exceeded", "context canceled", "not ready")
"""What Helm says when it has applied everything, and then waited in vain."""
_SERVING_DATA: Final = frozenset({"NetworkPolicy", "ObjectStore", "PriorityClass"})


@dataclass(frozen=True, slots=True)
class Release:
    """The release of one stack in its cluster. Every change to it needs the stack's lease.

    Attributes:
        helm: Helm, for the stack's namespace.
        kubectl: The cluster.
        stack: The stack's name.
        report: Takes lines of progress.
        others: Namespaces beside the stack's, which have workloads of it, too.
    """

    helm: Helm
    kubectl: Kubectl
    stack: str
    report: Report
    others: tuple[str, ...] = ()

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All that have workloads of the stack, its own first."""
        return (self.helm.namespace, *self.others)

    def last_good(self) -> Revision | None:
        """The newest revision that was released as a whole."""
        return next((item for item in reversed(self.helm.history()) if item.status in GOOD), None)

    def objects(self) -> list[dict[str, Any]]:
        """What may be there of earlier deployments.

        The objects of the last good revision and of failed later ones, and the Secrets and namespaces that
        were applied.
        """
        secrets = self.kubectl.list("secrets", self.helm.namespace, f"--selector={MANAGED_BY}={MANAGER}")
        found = {key_of(body): body for body in (*self.made_namespaces(), *secrets)}
        for revision in reversed(self.helm.history()):
            for body in self.helm.objects(revision.number):
                found.setdefault(key_of(body), body)
            if revision.status in GOOD:
                break
        return list(found.values())

    def made_namespaces(self) -> list[dict[str, Any]]:
        """The namespaces that were made for the stack, also those that its program no longer has."""
        ours = {MANAGED_BY: MANAGER, PART_OF: PROJECT, INSTANCE: self.stack}
        chosen = ",".join(f"{label}={value}" for label, value in ours.items())
        return self.kubectl.list("namespaces", self.helm.namespace, f"--selector={chosen}")

    def repair(self) -> None:
        """Undo a revision that was cut short, by Helm's own means, so that another can follow.

        An earlier good revision is released again; without one the release is removed. Volumes stay.
        """
        history = self.helm.history()
        if not history or history[-1].status not in PENDING:
            return
        broken = history[-1]
        self.report(f"revision {broken.number} was interrupted ({broken.status}); undoing it")
        good = self.last_good()
        if good is None or broken.status == "uninstalling":
            self.helm.uninstall(timeout=120)
            return
        result = self.helm.rollback(good.number, timeout=120, watch=None, wait=False)
        if result.code:
            raise PlatformError(f"helm rollback to revision {good.number}: {last_line(result.err)}")

    def upgrade(self, chart: Path, *, timeout: float, leaving: Collection[Identity] = ()) -> None:
        """Release a chart and wait until everything is ready, but for what is pruned afterwards.

        Raises:
            NotReadyError: Something did not become ready within `timeout` seconds, or can't.
            PlatformError: The API server refused an object.
        """
        watch = self._watch(leaving)
        self._judge("upgrade", self.helm.upgrade(chart, timeout=timeout, watch=watch))
        self.await_ready(timeout=timeout, leaving=leaving)  # Helm knows nothing of a database's Cluster

    def rollback(self, revision: int, *, timeout: float) -> None:
        """Release an earlier revision again and wait until everything is ready; raises as `upgrade`."""
        result = self.helm.rollback(revision, timeout=timeout, watch=self._watch(), wait=True)
        self._judge("rollback", result)
        self.await_ready(timeout=timeout)

    def await_ready(self, *, timeout: float, leaving: Collection[Identity] = ()) -> None:
        """Wait until what is released is ready; raises as `upgrade`."""
        if not wait(self._watch(leaving), timeout):
            raise not_ready(self.kubectl, self.namespaces, self.stack) or PlatformError(
                f"stack {self.stack} was not ready within {timeout:.0f} s, but is now"
            )

    def remove(self, *, timeout: float) -> None:
        """Uninstall the release and stop what Helm keeps; data stay, for the next release to adopt."""
        found = self.objects()
        databases = list(filter(is_database, found))
        self.helm.uninstall(timeout=timeout)
        gone = [body for body in found if not _is_data(body) and not (databases and _serves_data(body))]
        self._delete(gone, timeout)
        for body in databases:
            name = body["metadata"]["name"]
            self.report(f"{name} goes on behind its network policies: its data would end with it")

    def prune(self, bodies: Iterable[Mapping[str, Any]], *, timeout: float) -> None:
        """Delete what Helm leaves of objects that are gone: what it keeps, and what failed releases made.

        The claims that a StatefulSet made go with it.
        """
        found = list(bodies)
        claims = [claim for body in found for claim in self._claims_of(body)]
        self._delete([*found, *claims], timeout)

    def _watch(self, leaving: Collection[Identity] = ()) -> Watch:
        return Watch(self.kubectl, self.namespaces, self.report, leaving=leaving)

    def _judge(self, command: str, result: Result) -> None:
        """A failure by its cause: pods that are not ready, or else what Helm says."""
        if result.code == 0:
            return
        waited = any(sign in result.err for sign in _WAITED)
        sick = not_ready(self.kubectl, self.namespaces, self.stack) if waited else None
        raise sick or PlatformError(
            f"helm {command}: {_cause(result.err)}",
            hint=f"`mcpctl history --stack {self.stack}` tells what is released",
        )

    def _claims_of(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The claims of a StatefulSet: `<template>-<set>-<ordinal>`."""
        if body["kind"] != "StatefulSet" or not holds_volumes(body):
            return []
        _, _, namespace, name = key_of(body)
        stems = [f"{item['metadata']['name']}-{name}-" for item in body["spec"]["volumeClaimTemplates"]]
        return [
            claim
            for claim in self.kubectl.list("persistentvolumeclaims", namespace)
            for stem in stems
            if claim["metadata"]["name"].removeprefix(stem).isdecimal()
        ]

    def _delete(self, bodies: Iterable[Mapping[str, Any]], timeout: float) -> None:
        stubs = [
            {
                "apiVersion": body["apiVersion"],
                "kind": body["kind"],
                "metadata": {
                    key: body["metadata"][key] for key in ("name", "namespace") if key in body["metadata"]
                },
            }
            for body in bodies
        ]
        if stubs:
            self.kubectl.must(
                "delete",
                "--ignore-not-found",
                f"--timeout={timeout:.0f}s",
                "--filename",
                "-",
                stdin="\n".join(map(json.dumps, stubs)),
                timeout=timeout + 30,
            )


def _is_data(body: Mapping[str, Any]) -> bool:
    """Whether an object's end is the end of data. Claims outlive a StatefulSet, but no database's Cluster."""
    return body["kind"] in {"Namespace", "PersistentVolumeClaim", "Secret"} or is_database(body)


def _serves_data(body: Mapping[str, Any]) -> bool:
    """Whether a database that goes on would be open to all without it, not archived, or not made again."""
    return body["kind"] in _SERVING_DATA and is_kept(body)


def _cause(text: str) -> str:
    """Helm's error in one line: what it says after `Error:`, a line for each cause."""
    lines = text.partition("Error:")[2].strip().splitlines() or [last_line(text)]
    return "; ".join(line.strip() for line in lines if line.strip())
