"""Deploy a stack to a Docker engine without Pulumi's: images, secrets, then Docker Compose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from infra.cluster.report import last_lines
from infra.engine import direct
from infra.engine.build import build
from infra.engine.build_spec import image_specs
from infra.engine.compose import plan
from infra.engine.compose.client import Compose, compose_file
from infra.engine.compose.document import TYPES, Document, document
from infra.engine.compose.health import service_of, services
from infra.engine.compose.state import State
from infra.engine.diagnosis import NotReadyError
from infra.engine.direct import PACK, TIMEOUT, Step, ViolationsError
from infra.engine.generated import made
from infra.engine.health import Service
from infra.engine.plan import Plan
from infra.engine.record import REPOSITORY, record
from infra.engine.support import require_supported
from infra.engine.violation import Violation
from infra.errors import PlatformError

_LOG_LINES: Final = 10
_STOP_SECONDS: Final = 180.0
"""For `down`: longer than any container's time to stop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How to deploy.

    Attributes:
        stack: The stack's name.
        name: The Compose project's, which is what a namespace would be called.
        project: The folder of `Pulumi.yaml`.
        pack: The folder of the policy pack, or None for no policies.
        timeout: Seconds to wait until everything is healthy.
        allow_data_loss: Whether volumes and secrets may be deleted.
    """

    stack: str
    name: str
    project: Path = REPOSITORY
    pack: Path | None = PACK
    timeout: float = TIMEOUT
    allow_data_loss: bool = False


def up(options: Options, step: Step) -> Plan:
    """Make the engine hold what the program declares, and wait until it is healthy.

    Returns:
        What was done to each service, network and volume.

    Raises:
        ViolationsError: A mandatory policy is violated.
        NotReadyError: Something did not become healthy.
        PlatformError: Anything else that a user can act on.
    """
    compose, state = Compose.find(options.name), State.of(options.stack)
    with step("look at what is there") as report, state.alone(report):
        values = state.values()
    graph, found = direct.evaluate(
        options.stack, step, project=options.project, pack=options.pack, values=values
    )
    if any(item.mandatory for item in found):
        raise ViolationsError(options.stack, found)
    require_supported(graph, TYPES)
    with step("build the images") as report:
        build(image_specs(graph, project=options.project), builder="docker", report=report)
    with step("run the containers") as report, state.alone(report):
        values = state.values()
        complete = made(graph, values or {})
        if values is None:
            _refuse_if_data(compose, state)
        if complete != (values or {}):
            state.store(complete)
            report("evaluating the program with the generated values")
        # Also with the same values: while this one waited, another may have made them.
        graph = record(options.stack, project=options.project, generated=complete)
        wanted = document(graph, options.name)
        done = plan.against(options.stack, wanted, compose)
        state.write(wanted)
        report(f"starting {len(wanted.data['services'])} services")
        _start(options, compose, state, wanted)
    return done


def preview(options: Options, step: Step, *, offline: bool) -> tuple[Plan, list[Violation]]:
    """What `up` would do, and what the policies say."""
    values = None if offline else State.of(options.stack).values()
    graph, found = direct.evaluate(
        options.stack, step, project=options.project, pack=options.pack, values=values
    )
    require_supported(graph, TYPES)
    wanted = document(graph, options.name)
    if offline:
        return plan.offline(options.stack, wanted), found
    with step("compare with the engine"):
        return plan.against(options.stack, wanted, Compose.find(options.name)), found


def down(options: Options, step: Step) -> None:
    """Remove the containers and networks; volumes and secrets too if data may be lost."""
    compose, state = Compose.find(options.name), State.of(options.stack)
    with step("remove the containers") as report, state.alone(report):
        compose.must("down", "--remove-orphans", timeout=_STOP_SECONDS)
        if options.allow_data_loss:
            report("deleting volumes and secrets")
            compose.remove_volumes()
            state.forget()


def status(options: Options) -> list[Service]:
    """The services that run, or should by what was deployed last."""
    state = State.of(options.stack)
    deployed = yaml.safe_load(state.compose_file.read_text()) if state.compose_file.is_file() else {}
    return services(Compose.find(options.name), deployed.get("services", {}))


def _refuse_if_data(compose: Compose, state: State) -> None:
    if volumes := compose.names("volume"):
        raise PlatformError(
            f"{state.folder} is gone, but the volumes whose data need its passwords are there: "
            f"{', '.join(volumes)}",
            hint="restore it from a backup, or delete the data with `mcpctl down --allow-data-loss`",
        )


def _start(options: Options, compose: Compose, state: State, wanted: Document) -> None:
    """Start what is not as it should be, and wait for the services that last; the others come before them."""
    seconds = int(options.timeout)
    result = compose.run(
        *compose_file(state.folder),
        *("up", "--detach", "--no-build", "--remove-orphans"),
        *("--wait", "--wait-timeout", str(seconds), *wanted.lasting),
        timeout=seconds + _STOP_SECONDS,
    )
    if result.code:
        raise NotReadyError(
            f"stack {options.stack}: {last_lines(result.err, 1)}",
            details=_details(compose),
            hint=f"mcpctl logs SERVICE --stack {options.stack} shows more",
        )


def _details(compose: Compose) -> list[str]:
    """About each service that is not as it should be: its state and the end of its log."""
    sick = {item.name: item.trouble for item in services(compose, ()) if item.trouble}
    lines: list[str] = []
    for container in compose.containers():
        if (name := service_of(container)) in sick:
            lines.append(f"{name}: {sick[name]}")
            log = compose.run("logs", "--no-color", "--no-log-prefix", "--tail", str(_LOG_LINES), name)
            lines += [f"  {line}" for line in log.out.splitlines()]
    return lines
