"""Deploy a stack without Pulumi's engine: images, secrets, then a Helm release."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.cluster import Report
from infra.engine import generated, plan
from infra.engine.analyzer import Analyzer
from infra.engine.build import build
from infra.engine.build_spec import image_specs
from infra.engine.check import Violation, violations
from infra.engine.graph import Graph
from infra.engine.helm import RELEASE
from infra.engine.kubectl import Kubectl
from infra.engine.lease import held
from infra.engine.manifest import Manifest, manifests, plain
from infra.engine.plan import Action, Plan
from infra.engine.project import load
from infra.engine.record import REPOSITORY, record
from infra.engine.release import Release
from infra.engine.render import write_chart
from infra.engine.support import require_supported
from infra.engine.target import Target, target_of
from infra.errors import PlatformError

Step = Callable[[str], AbstractContextManager[Report]]
"""Opens a step by its title; what it yields takes lines of progress."""

PACK: Final = REPOSITORY / "policies"
TIMEOUT: Final = 300.0


class ViolationsError(PlatformError):
    """Mandatory policies are violated; nothing was changed."""

    def __init__(self, stack: str, found: Sequence[Violation]) -> None:
        mandatory = sum(item.mandatory for item in found)
        super().__init__(f"stack {stack}: {mandatory} policy violations; nothing was changed")
        self.violations = found


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How to deploy.

    Attributes:
        stack: The stack's name.
        project: The folder of `Pulumi.yaml`.
        pack: The folder of the policy pack, or None for no policies.
        timeout: Seconds to wait until everything is ready.
        allow_data_loss: Whether volumes and secrets may be deleted.
    """

    stack: str
    project: Path = REPOSITORY
    pack: Path | None = PACK
    timeout: float = TIMEOUT
    allow_data_loss: bool = False


def evaluate(options: Options, step: Step) -> tuple[Graph, list[Violation]]:
    """Run the program and the policy pack, at the same time as far as possible."""
    if options.pack is None:
        with step("evaluate the program"):
            return record(options.stack, project=options.project), []
    project = load(options.project, options.stack)
    with Analyzer(options.pack, project=project.name, stack=options.stack) as analyzer:
        with step("evaluate the program"):
            graph = record(options.stack, project=options.project)
        with step("check the policies"):
            return graph, violations(graph, analyzer)


def up(options: Options, step: Step) -> Plan:
    """Make the cluster hold what the program declares, and wait until it is ready.

    Returns:
        What was done to each object.

    Raises:
        ViolationsError: A mandatory policy is violated.
        NotReadyError: Something did not become ready.
        PlatformError: Anything else that a user can act on.
    """
    graph, found = evaluate(options, step)
    if any(item.mandatory for item in found):
        raise ViolationsError(options.stack, found)
    require_supported(graph)
    target = target_of(graph)
    objects = manifests(graph)
    specs = image_specs(graph, project=options.project)
    with step("reach the cluster") as report:
        kubectl = _reach(target, report)
        kubectl.apply([plain(item.body) for item in objects if item.kind == "Namespace"])
    with held(kubectl, target.namespace):
        with step("build the images") as report:
            push = any(spec.push for spec in specs)
            build(specs, load_into=target.cluster, push=push, report=report)
        with step("make the secrets") as report:
            values = generated.complete(kubectl, graph, target.namespace)
            if values:
                report("evaluating the program with the generated values")
                graph = record(options.stack, project=options.project, generated=values)
                objects = manifests(graph)
        with step("release the objects") as report:
            release = Release(target.helm(report), kubectl, options.stack, report)
            return _release(release, objects, target, options, report)


def _reach(target: Target, report: Report) -> Kubectl:
    if target.cluster:
        target.cluster.up(report)
    kubectl = target.kubectl(report)
    report(f"asking the API server of {target.context}")
    kubectl.must("version", "--output", "json", timeout=30)
    return kubectl


def _release(
    release: Release, objects: Sequence[Manifest], target: Target, options: Options, report: Report
) -> Plan:
    release.repair()
    released = release.objects()
    report("comparing with the cluster")
    todo = plan.against(release.kubectl, options.stack, objects, released, target.namespace)
    if todo.refusals:
        raise PlatformError(f"the API server refuses it: {todo.refusals[0]}", hint="nothing was released")
    lost = [step for step in todo.steps if step.action is Action.DELETE and step.loses_data]
    if lost and not options.allow_data_loss:
        names = ", ".join(f"{step.kind} {step.name}" for step in lost)
        raise PlatformError(
            f"stack {options.stack}: {names} left the program, and with it the data; nothing was released",
            hint="put it back into the program, or run `mcpctl up --allow-data-loss`",
        )
    release.kubectl.apply([plain(item.body) for item in objects if item.is_secret])
    inside = [item for item in objects if not plan.is_outside(item)]
    with tempfile.TemporaryDirectory(prefix="mcp-platform-chart-") as folder:
        content = write_chart(inside, Path(folder), name=RELEASE, description=f"stack {options.stack}")
        history = release.helm.history()
        unchanged = history and history[-1].status == "deployed" and content.startswith(history[-1].content)
        if unchanged and todo.clean:
            report("nothing changed; waiting until everything is ready")
            release.await_ready(timeout=options.timeout)
            return todo
        report(f"releasing {len(inside)} objects")
        release.upgrade(Path(folder), timeout=options.timeout)
    gone = {(step.kind, step.namespace, step.name) for step in todo.steps if step.action is Action.DELETE}
    release.prune((body for body in released if plan.identity(body) in gone), timeout=options.timeout)
    return todo


def preview(options: Options, step: Step, *, offline: bool) -> tuple[Plan, list[Violation]]:
    """What `up` would do, and what the policies say.

    Args:
        options: As for `up`.
        step: Opens a step.
        offline: Compare with nothing instead of with the cluster.
    """
    graph, found = evaluate(options, step)
    objects = manifests(graph)
    if offline:
        return plan.offline(options.stack, objects), found
    require_supported(graph)
    target = target_of(graph)
    with step("compare with the cluster") as report:
        kubectl = target.kubectl(report)
        if values := generated.read(kubectl, target.namespace):
            objects = manifests(record(options.stack, project=options.project, generated=values))
        release = Release(target.helm(report), kubectl, options.stack, report)
        todo = plan.against(kubectl, options.stack, objects, release.objects(), target.namespace)
    return todo, found


def open_release(options: Options, step: Step) -> tuple[Release, Target, Graph]:
    """The release of a stack whose cluster runs."""
    with step("evaluate the program") as report:
        graph = record(options.stack, project=options.project)
        target = target_of(graph)
        kubectl = target.kubectl(report)
        return Release(target.helm(report), kubectl, options.stack, report), target, graph


def rollback(options: Options, step: Step, revision: int | None) -> int:
    """Release an earlier revision again: the given one, or the last good one before the newest.

    Returns:
        The number of the revision.

    Raises:
        PlatformError: There is no such revision.
    """
    release, target, _ = open_release(options, step)
    with held(release.kubectl, target.namespace), step("roll back") as report:
        release = Release(release.helm, release.kubectl, release.stack, report)
        release.repair()
        history = release.helm.history()
        earlier = [item.number for item in history[:-1] if item.status == "superseded"]
        chosen = revision if revision is not None else max(earlier, default=None)
        if chosen is None or chosen not in {item.number for item in history}:
            known = ", ".join(str(item.number) for item in history) or "none"
            raise PlatformError(
                f"stack {options.stack} has no revision {chosen or 'to go back to'}",
                hint=f"revisions: {known}",
            )
        release.rollback(chosen, timeout=options.timeout)
        return chosen


def down(options: Options, step: Step) -> None:
    """Remove the release; volumes, secrets and the namespace only if data may be lost."""
    release, target, graph = open_release(options, step)
    if release.kubectl.get("namespace", "", target.namespace) is None:
        return
    with held(release.kubectl, target.namespace), step("remove the release") as report:
        release = Release(release.helm, release.kubectl, release.stack, report)
        release.remove(timeout=options.timeout)
    if options.allow_data_loss:
        with step("delete the namespace with all data"):
            namespaces = [item.name for item in manifests(graph) if item.kind == "Namespace"]
            for name in namespaces:
                release.kubectl.must(
                    "delete", "namespace", name, "--ignore-not-found", timeout=options.timeout
                )
