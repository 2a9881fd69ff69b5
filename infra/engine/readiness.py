"""Watch a stack become ready: tell progress, stop waiting for what can't, free what is stuck."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

from infra.cluster import Report
from infra.engine.kubectl import Kubectl
from infra.engine.plan import Identity
from infra.engine.pods import Pod, pods
from infra.engine.workloads import Workload, workloads
from infra.errors import PlatformError

PATIENCE: Final = 45.0
"""Seconds that a pod may stay stuck before the wait is given up: pulls and first crashes often recover."""


class Watch:
    """Looks at the stack each time that it is called; False says that waiting on is useless.

    What is `leaving` is not looked at: it is deleted when everything else is ready.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        namespaces: Sequence[str],
        report: Report,
        *,
        leaving: Collection[Identity] = (),
        patience: float = PATIENCE,
    ) -> None:
        self._kubectl = kubectl
        self._namespaces = namespaces
        self._report = report
        self._leaving = leaving
        self._patience = patience
        self._stuck_since: dict[str, float] = {}
        self._said = ""
        self.ready = False

    def __call__(self) -> bool:
        """Look once, and report progress."""
        try:
            late = [item for item in workloads(self._kubectl, self._namespaces) if self._is_late(item)]
            present = [item for item in pods(self._kubectl, self._namespaces) if not self._leaves(item)]
        except PlatformError as error:
            self._say(f"the cluster does not answer: {error}")
            return True
        self.ready = not late
        self._say(_line([item.title for item in late], present))
        revisions = {item.title.replace(" ", "/"): item.revision for item in late if item.revision}
        self._free(present, revisions)
        return not self._hopeless(present)

    def _is_late(self, item: Workload) -> bool:
        return not item.ready and (item.kind, item.namespace, item.name) not in self._leaving

    def _leaves(self, item: Pod) -> bool:
        kind, _, name = item.owner.partition("/")
        return (kind, item.namespace, name) in self._leaving

    def _say(self, line: str) -> None:
        """Report what is new."""
        if line != self._said:
            self._said = line
            self._report(line)

    def _free(self, present: list[Pod], revisions: dict[str, str]) -> None:
        """Delete stuck pods of an older revision: a StatefulSet waits in vain for them to become ready.

        https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
        """
        for item in present:
            newest = revisions.get(item.owner, "")
            if item.stuck and not item.leaving and newest and item.revision != newest:
                self._report(f"replacing {item.name}, which is stuck in an older version")
                self._kubectl.run("delete", "pod", item.name, "--namespace", item.namespace, "--wait=false")

    def _hopeless(self, present: list[Pod]) -> bool:
        now = time.monotonic()
        stuck = [item.name for item in present if item.stuck and not item.leaving]
        self._stuck_since = {name: self._stuck_since.get(name, now) for name in stuck}
        return any(now - since > self._patience for since in self._stuck_since.values())


def wait(look: Watch, timeout: float, *, clock: Callable[[], float] = time.monotonic) -> bool:
    """Look once a second until everything is ready (True), or it is hopeless or too late (False)."""
    deadline = clock() + timeout
    while look():
        if look.ready:
            return True
        if clock() > deadline:
            return False
        time.sleep(1)
    return False


def _line(late: list[str], present: list[Pod]) -> str:
    if not late:
        return f"{len([item for item in present if item.ready])} pods are ready"
    reasons = [f"{item.name} {item.reason}" for item in present if not item.ready and not item.leaving]
    return f"waiting for {', '.join(reasons or late)}"
