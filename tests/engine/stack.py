"""A stack of the program `release` in a cluster, with its configuration as a test sets it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.cluster import Report, silent
from infra.engine import direct, release
from infra.engine.direct import Options
from infra.engine.helm import Helm, Revision
from infra.engine.kubectl import Kubectl
from infra.engine.plan import Action, Plan
from infra.engine.pods import pods
from infra.engine.readiness import Watch
from infra.engine.target import Target

PROGRAM = Path(__file__).parent / "programs" / "release"
REPOSITORY = Path(__file__).resolve().parents[2]
BROKEN = "localhost/nobody/made/this:1"

_UP = """
import sys
from pathlib import Path
from infra.cluster import Cluster
from infra.engine import direct
from infra.engine.target import Target
from tests.engine.stack import quiet

name, folder, cluster = sys.argv[1:]
embedded = Cluster.named(cluster)
target = Target(name, f"mcp-{name}", f"mcp-{cluster}", embedded.kubeconfig, embedded)
direct.up(direct.Options(stack=name, target=target, project=Path(folder), pack=None), quiet)
"""


@contextmanager
def quiet(_title: str) -> Generator[Report]:
    yield silent


@dataclass
class Stack:
    """One stack; `lines` is the progress that was reported last."""

    target: Target
    project: Path
    lines: list[str] = field(default_factory=list[str])

    @classmethod
    def make(cls, target: Target, folder: Path) -> Stack:
        shutil.copytree(PROGRAM, folder, dirs_exist_ok=True)
        return cls(target, folder)

    def up(self, *, timeout: float = 120, allow_data_loss: bool = False, **config: Any) -> Plan:
        self.configure(**config)
        self.lines.clear()
        options = self.options(timeout=timeout, allow_data_loss=allow_data_loss)
        return direct.up(options, self._step)

    def preview(self, **config: Any) -> Plan:
        self.configure(**config)
        return direct.preview(self.options(), quiet)[0]

    def down(self, *, allow_data_loss: bool = False) -> None:
        direct.down(self.options(allow_data_loss=allow_data_loss), quiet)

    def rollback(self, revision: int | None = None) -> int:
        return direct.rollback(self.options(), quiet, revision)

    def options(self, *, timeout: float = 120, allow_data_loss: bool = False) -> Options:
        return Options(
            stack=self.target.stack,
            target=self.target,
            project=self.project,
            pack=None,
            timeout=timeout,
            allow_data_loss=allow_data_loss,
        )

    def configure(self, **config: Any) -> None:
        settings = {
            f"release:{key}": value for key, value in {"context": self.target.context, **config}.items()
        }
        (self.project / f"Pulumi.{self.target.stack}.yaml").write_text(json.dumps({"config": settings}))

    def start(self, **config: Any) -> subprocess.Popen[str]:
        """Begin an `up` in a process group of its own, which a test may kill."""
        self.configure(**config)
        assert self.target.cluster
        arguments = [self.target.stack, str(self.project), self.target.cluster.name]
        return subprocess.Popen(
            [sys.executable, "-c", _UP, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )

    @property
    def kubectl(self) -> Kubectl:
        return self.target.kubectl(silent)

    @property
    def helm(self) -> Helm:
        return self.target.helm(silent)

    @property
    def latest(self) -> Revision:
        return self.helm.history()[-1]

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        return self.kubectl.get(kind, self.target.namespace, name)

    def names(self, kind: str) -> list[str]:
        return [item["metadata"]["name"] for item in self.kubectl.list(kind, self.target.namespace)]

    @contextmanager
    def _step(self, _title: str) -> Generator[Report]:
        yield self.lines.append


def done(plan: Plan) -> dict[str, Action]:
    """What was not left as it was, by `Kind name`."""
    return {f"{step.kind} {step.name}": step.action for step in plan.steps if step.action != Action.UNCHANGED}


@contextmanager
def impatient(enough: Callable[[], bool]) -> Generator[None]:
    """Have waits for a stack given up, as when a pod is stuck for long, as soon as enough is to be seen."""

    class Impatient(Watch):
        def __call__(self) -> bool:
            return super().__call__() and not enough()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release, "Watch", Impatient)
        yield


def events(stack: Stack, reason: str, *others: str) -> list[str]:
    """What events of a reason say in the stack's namespace and others: `name of the object: message`."""
    places = (stack.target.namespace, *others)
    found = [item for place in places for item in stack.kubectl.list("events", place)]
    return [f"{it['involvedObject']['name']}: {it['message']}" for it in found if it["reason"] == reason]


def are_stuck(stack: Stack, *workloads: str, others: Sequence[str] = ()) -> bool:
    """Whether each of some workloads has a pod that is stuck without its image, and an event tells it."""
    told = {line.partition(":")[0] for line in events(stack, "ErrImageNeverPull", *others)}
    present = pods(stack.kubectl, [stack.target.namespace, *others])
    return {pod.workload for pod in present if pod.stuck and pod.name in told} >= set(workloads)


def end(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Signal a whole process group, and return what its leader said last."""
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=120)
    return err


def eventually(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.2)
