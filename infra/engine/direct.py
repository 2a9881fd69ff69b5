"""Deploy a stack without Pulumi's engine: images, secrets, then a Helm release."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.cluster import Report, silent
from infra.engine import build_kind, generated, plan
from infra.engine.analyzer import Analyzer
from infra.engine.build import build, prune
from infra.engine.build_kind import kind_cluster
from infra.engine.build_spec import image_specs
from infra.engine.generated import Values
from infra.engine.graph import Graph
from infra.engine.helm import GOOD, RELEASE
from infra.engine.images_in_use import images_in_use
from infra.engine.kubectl import Kubectl
from infra.engine.lease import held
from infra.engine.manifest import Manifest, manifests
from infra.engine.plan import Action, Plan
from infra.engine.project import load
from infra.engine.record import REPOSITORY, record
from infra.engine.release import Release
from infra.engine.render import write_chart
from infra.engine.support import require_supported
from infra.engine.target import Target, require_target
from infra.engine.violation import Violation
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
        target: Where to.
        project: The folder of `Pulumi.yaml`.
        pack: The folder of the policy pack, or None for no policies.
        timeout: Seconds to wait until everything is ready.
        allow_data_loss: Whether volumes and secrets may be deleted.
    """

    stack: str
    target: Target
    project: Path = REPOSITORY
    pack: Path | None = PACK
    timeout: float = TIMEOUT
    allow_data_loss: bool = False


def evaluate(
    stack: str,
    step: Step,
    *,
    project: Path = REPOSITORY,
    pack: Path | None = PACK,
    values: Values | None = None,
) -> tuple[Graph, list[Violation]]:
    """Run the program and the policy pack, at the same time as far as possible.

    Args:
        stack: The stack's name.
        step: Opens a step.
        project: The folder of `Pulumi.yaml`.
        pack: The folder of the policy pack, or None for no policies.
        values: Generated values that exist already.
    """
    if pack is None:
        with step("evaluate the program"):
            return record(stack, project=project, generated=values), []
    with Analyzer(pack, project=load(project, stack).name, stack=stack) as analyzer:
        with step("evaluate the program"):
            graph = record(stack, project=project, generated=values)
        with step("check the policies"):
            from infra.engine.check import violations  # noqa: PLC0415 - loads Pulumi's SDK, for a second; few need it

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
    target = options.target
    if target.cluster:
        target.cluster.check()
    values = _values_so_far(target)
    graph, found = evaluate(options.stack, step, project=options.project, pack=options.pack, values=values)
    if any(item.mandatory for item in found):
        raise ViolationsError(options.stack, found)
    require_supported(graph)
    require_target(graph, target)
    objects = manifests(graph)
    specs = image_specs(graph, project=options.project)
    with step("reach the cluster") as report:
        kubectl = _reach(target, report)
        namespaces = [item for item in objects if item.kind == "Namespace"]
        kubectl.apply([plan.applied_body(item, target.namespace) for item in namespaces])
    with held(kubectl, target.namespace, [spec.ref for spec in specs]):
        with step("build the images") as report:
            build(specs, load_into=target.cluster, report=report)
            local = [spec.ref for spec in specs if not spec.push]
            if (kind := kind_cluster(target.context)) and local:
                build_kind.load(local, kind, report)
        with step("release the objects") as report:
            complete = generated.complete(kubectl, graph, target.namespace)
            if complete != (values or {}):
                report("evaluating the program with the generated values")
                objects = manifests(record(options.stack, project=options.project, generated=complete))
            release = Release(target.helm(report), kubectl, options.stack, report, target.others)
            done = _release(release, objects, options, report)
    if target.cluster and not done.clean:
        with step("remove images that nothing runs") as report:
            helm = target.helm(report)
            prune(lambda: images_in_use(kubectl, helm), load_into=target.cluster, report=report)
    return done


def _values_so_far(target: Target) -> Values | None:
    """The generated values where the cluster runs already: they spare a second evaluation."""
    cluster = target.cluster
    if cluster is None or (cluster.kubeconfig.is_file() and not cluster.toolbox.missing):
        with suppress(PlatformError):
            return generated.read(target.kubectl(silent), target.namespace)
    return None


def _reach(target: Target, report: Report) -> Kubectl:
    if target.cluster:
        target.cluster.up(report)
    kubectl = target.kubectl(report)
    report(f"asking the API server of {target.context}")
    kubectl.must("version", "--output", "json", timeout=30)
    return kubectl


def _release(release: Release, objects: Sequence[Manifest], options: Options, report: Report) -> Plan:
    release.repair()
    released = release.objects()
    report("comparing with the cluster")
    todo = plan.against(release.kubectl, options.stack, objects, released, options.target.namespace)
    if todo.refusals:
        raise PlatformError(f"the API server refuses it: {todo.refusals[0]}", hint="nothing was released")
    lost = [step for step in todo.steps if step.action is Action.DELETE and step.loses_data]
    if lost and not options.allow_data_loss:
        names = ", ".join(f"{step.kind} {step.name}" for step in lost)
        raise PlatformError(
            f"stack {options.stack}: {names} left the program, and with it the data; nothing was released",
            hint=f"put it back, or run `mcpctl up --stack {options.stack} --allow-data-loss`",
        )
    gone = {
        (step.kind, step.namespace, step.name)
        for step in todo.steps
        if step.action is Action.DELETE or (step.needs_permission and options.allow_data_loss)
    }
    secrets = [item for item in objects if item.is_secret]
    release.kubectl.apply([plan.applied_body(item, release.helm.namespace) for item in secrets])
    inside = [item for item in objects if not plan.is_outside(item)]
    with tempfile.TemporaryDirectory(prefix="mcp-platform-chart-") as folder:
        content = write_chart(inside, Path(folder), name=RELEASE, description=f"stack {options.stack}")
        history = release.helm.history()
        unchanged = history and history[-1].status == "deployed" and content.startswith(history[-1].content)
        if unchanged and todo.clean:
            report("nothing changed; waiting until everything is ready")
            release.await_ready(timeout=options.timeout)
        else:
            report(f"releasing {len(inside)} objects")
            release.upgrade(Path(folder), timeout=options.timeout, leaving=gone)
    release.prune((body for body in released if plan.identity(body) in gone), timeout=options.timeout)
    return todo


def preview(options: Options, step: Step) -> tuple[Plan, list[Violation]]:
    """What `up` would do against the cluster, and what the policies say."""
    target = options.target
    values = generated.read(target.kubectl(silent), target.namespace)
    graph, found = evaluate(options.stack, step, project=options.project, pack=options.pack, values=values)
    require_supported(graph)
    require_target(graph, target)
    with step("compare with the cluster") as report:
        release = open_release(target, report)
        todo = plan.against(
            release.kubectl, options.stack, manifests(graph), release.objects(), target.namespace
        )
    return todo, found


def open_release(target: Target, report: Report) -> Release:
    """The release of a stack whose cluster runs."""
    return Release(target.helm(report), target.kubectl(report), target.stack, report, target.others)


def rollback(options: Options, step: Step, revision: int | None) -> int:
    """Release an earlier revision again: the given one, or the last good one before the newest.

    Returns:
        The number of the revision.

    Raises:
        PlatformError: There is no such revision.
    """
    target = options.target
    with step("roll back") as report:
        release = open_release(target, report)
        _require_namespace(release.kubectl, target)
        with held(release.kubectl, target.namespace):
            release.repair()
            history = release.helm.history()
            earlier = [item.number for item in history[:-1] if item.status in GOOD]
            chosen = revision if revision is not None else max(earlier, default=0)
            if chosen not in {item.number for item in history}:
                known = ", ".join(str(item.number) for item in history) or "none"
                raise PlatformError(
                    f"stack {options.stack} has no revision {chosen or 'to go back to'}",
                    hint=f"revisions: {known}",
                )
            report(f"releasing revision {chosen} again")
            release.rollback(chosen, timeout=options.timeout)
    return chosen


def down(options: Options, step: Step) -> None:
    """Remove the release; volumes, databases, secrets and the namespaces too if data may be lost.

    Nothing is to be done where the embedded cluster is down, unless it is to lose its data.
    """
    target = options.target
    with step("remove the release") as report:
        if target.cluster and not options.allow_data_loss and not target.cluster.running:
            report(f"cluster {target.cluster.name} is down: nothing runs there")
            return
        release = open_release(target, report)
        if release.kubectl.get("namespace", "", target.namespace) is None:
            report("there is nothing")
        else:
            with held(release.kubectl, target.namespace):
                release.remove(timeout=options.timeout)
    if options.allow_data_loss:
        with step("delete the namespaces with all data"):
            names = {target.namespace, *(body["metadata"]["name"] for body in release.made_namespaces())}
            release.kubectl.must(
                "delete", "namespace", *sorted(names), "--ignore-not-found", timeout=options.timeout
            )


def _require_namespace(kubectl: Kubectl, target: Target) -> None:
    if kubectl.get("namespace", "", target.namespace) is None:
        raise PlatformError(
            f"stack {target.stack} is not deployed: {target.context} has no namespace {target.namespace}",
            hint=f"mcpctl up --stack {target.stack}",
        )
