"""`mcpctl render`, `up`, `down`, `status`, `verify`, `rollback` and `history`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.console import err, out, step
from cli.deployed import Deployed
from cli.docker_stack import DockerStack
from cli.gateway_access import GatewayAccess
from cli.stack_views import (
    print_check,
    print_health,
    print_history,
    print_plan,
    print_violations,
)
from cli.welcome import welcome
from infra.cluster import silent
from infra.engine import direct, project, pulumi_cli
from infra.engine.diagnosis import NotReadyError
from infra.engine.direct import Options, ViolationsError
from infra.engine.health import Check, health
from infra.engine.helm import RELEASE
from infra.engine.manifest import manifests
from infra.engine.placeholders import refuse_placeholders
from infra.engine.plan import is_outside
from infra.engine.pulumi_cli import PulumiFailedError
from infra.engine.record import REPOSITORY, record
from infra.engine.render import missing, write_chart, write_tree
from infra.engine.support import pulumi_only
from infra.errors import PlatformError
from infra.settings import parse
from services.kit.conventions import MCP_PATH, SERVER_NAME_SEPARATOR

EXIT_VIOLATION: Final = 1
EXIT_NOT_OK: Final = 1
AS_JSON: Final = "--json"


class Engine(StrEnum):
    """What runs the program."""

    AUTO = "auto"
    PULUMI = "pulumi"
    DIRECT = "direct"


StackName = Annotated[str, typer.Option("--stack", "-s", help="Which stack.")]
EngineName = Annotated[
    Engine,
    typer.Option(
        "--engine",
        help="auto: Pulumi's CLI where PATH has it, unless the stack runs on this machine alone.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Timeout = Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait for readiness.")]
DataLoss = Annotated[bool, typer.Option("--allow-data-loss", help="Volumes and secrets may be deleted.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def render(
    output: Annotated[Path, typer.Option("--output", "-o", help="An empty, new or earlier rendered folder.")],
    stack: StackName = "dev",
    helm: Annotated[bool, typer.Option("--helm", help="A Helm chart instead of single files.")] = False,
) -> None:
    """Write the stack's objects for Argo CD, Flux or kubectl, or its Compose file; secrets are left out."""
    if docker := DockerStack.of(stack):
        if helm:
            raise PlatformError(f"--helm: stack {stack} runs on Docker, for which there is a Compose file")
        docker.render(output)
        return
    with step("evaluate the program"):
        graph = record(stack)
        objects = manifests(graph)
    if helm:
        known = [item for item in objects if not is_outside(item) and not item.unknown_paths]
        write_chart(known, output, name=RELEASE, description=f"stack {stack}")
        count = len(known)
    else:
        count = len([path for path in write_tree(objects, output) if path.suffix == ".yaml"])
    out.print(f"{count} objects in {output}")
    if lines := missing(objects):
        err.print("not in there, to be provided by you:")
        for line in lines:
            err.print(f"  {line}", markup=False)
    if others := pulumi_only(graph):
        err.print("not in there, deployed by `pulumi up`:")
        for resource in others:
            err.print(f"  {resource.type} {resource.name}", markup=False)


def up(
    stack: StackName = "dev",
    engine: EngineName = Engine.AUTO,
    timeout: Timeout = direct.TIMEOUT,
    allow_data_loss: DataLoss = False,
    yes: Yes = False,
) -> None:
    """Build the images, make the cluster hold what the program declares, and wait until it is ready."""
    refuse_placeholders(REPOSITORY, stack)
    if uses_pulumi(engine, stack):
        run_pulumi("up", stack, "--yes", policies=True)
        return
    _confirm_loss(stack, allow_data_loss, yes)
    docker = DockerStack.of(stack)
    try:
        done = docker.up(timeout) if docker else direct.up(_options(stack, timeout, allow_data_loss), step)
    except ViolationsError as error:
        print_violations(err, error.violations)
        err.print(str(error), markup=False)
        raise typer.Exit(EXIT_VIOLATION) from None
    except NotReadyError as error:
        _print_details(error)
        raise
    print_plan(out, done)
    if docker:
        docker.print_status(as_json=False)
    else:
        print_health(out, health(direct.open_release(Deployed.of(stack).target, silent)), "")
    welcome(stack)


def down(
    stack: StackName = "dev",
    engine: EngineName = Engine.AUTO,
    timeout: Timeout = direct.TIMEOUT,
    allow_data_loss: DataLoss = False,
    yes: Yes = False,
) -> None:
    """Remove what `up` released; volumes, databases, secrets and namespaces only with --allow-data-loss."""
    _confirm_loss(stack, allow_data_loss, yes)
    if uses_pulumi(engine, stack):
        if not allow_data_loss:
            raise PlatformError(
                "Pulumi's engine deletes volumes and secrets too",
                hint="add --allow-data-loss, or use `--engine direct` if that made the stack",
            )
        run_pulumi("destroy", stack, "--yes", policies=False)
        return
    if docker := DockerStack.of(stack):
        docker.down(allow_data_loss=allow_data_loss)
        return
    direct.down(_options(stack, timeout, allow_data_loss), step)


def rollback(
    revision: Annotated[
        int | None, typer.Argument(help="As `history` lists it; default: the one before.")
    ] = None,
    stack: StackName = "dev",
    timeout: Timeout = direct.TIMEOUT,
) -> None:
    """Release an earlier revision again, and wait until it is ready. Secrets and volumes stay as they are."""
    options = Options(stack=stack, target=Deployed.of(stack).target, timeout=timeout)
    try:
        chosen = direct.rollback(options, step, revision)
    except NotReadyError as error:
        _print_details(error)
        raise
    out.print(f"stack {stack} is what it was in revision {chosen}; the next `up` brings the program back")


def history(stack: StackName = "dev", as_json: AsJson = False) -> None:
    """List the revisions that were released."""
    revisions = direct.open_release(Deployed.of(stack).target, silent).helm.history()
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in revisions], indent=2))
    else:
        print_history(out, revisions)


def status(stack: StackName = "dev", as_json: AsJson = False) -> None:
    """Show the services, the gateway's address and the release; exit 1 when something is not ready."""
    if docker := DockerStack.of(stack):
        if not docker.print_status(as_json=as_json):
            raise typer.Exit(EXIT_NOT_OK)
        return
    target = Deployed.of(stack).target
    found = health(direct.open_release(target, silent))
    url = f"{target.cluster.gateway_url}{MCP_PATH}" if target.cluster else ""
    if as_json:
        typer.echo(json.dumps({**asdict(found), "ready": found.ready, "url": url}, indent=2))
    else:
        print_health(out, found, url)
    if not found.ready:
        raise typer.Exit(EXIT_NOT_OK)


def verify(stack: StackName = "dev", as_json: AsJson = False) -> None:
    """Prove that the stack works: services, stores, and every server's tools through the gateway."""
    results: list[Check] = []
    for check in _all_checks(stack):
        results.append(check)
        if not as_json:
            print_check(out, check)
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in results], indent=2))
    if not all(item.ok for item in results):
        raise typer.Exit(EXIT_NOT_OK)


def _all_checks(stack: str) -> Iterator[Check]:
    deployed = DockerStack.of(stack) or Deployed.of(stack)
    yield from deployed.checks()
    settings = deployed.settings
    if not settings.auth.dev_issuer:
        yield Check("discovery", ok=True, detail="not asked: mcpctl can't make tokens for this stack")
        return
    from cli import gateway_client  # noqa: PLC0415 - the MCP client is slow to load, and few commands need it

    with GatewayAccess.of(stack) as gateway:
        token = gateway.token("mcpctl", "mcp:read")
        listed = gateway_client.run(gateway.url, token, gateway_client.list_tools)
    plain = settings.gateway.names == "plain"
    found = [tool.name.partition(SERVER_NAME_SEPARATOR)[0] for tool in listed]
    for server in settings.servers:
        count = len(listed) if plain else found.count(server)
        yield Check(f"server {server}", ok=count > 0, detail=f"{count} tools through the gateway")


def _options(stack: str, timeout: float, allow_data_loss: bool) -> Options:
    target = Deployed.of(stack).target
    return Options(stack=stack, target=target, timeout=timeout, allow_data_loss=allow_data_loss)


def uses_pulumi(engine: Engine, stack: str) -> bool:
    """Choose the engine, and say which."""
    if engine is not Engine.AUTO:
        return engine is Engine.PULUMI
    chosen, why = Engine.DIRECT, "pulumi is not on PATH"
    if pulumi_cli.find():
        local = _runs_here(stack)
        chosen = Engine.DIRECT if local else Engine.PULUMI
        why = f"stack {stack} runs on this machine alone" if local else "pulumi is on PATH"
    err.print(f"[dim]engine: {chosen} ({why})[/]")
    return chosen is Engine.PULUMI


def _runs_here(stack: str) -> bool:
    """Pulumi gets no image into the embedded Kubernetes, and does not know what Compose made on an engine."""
    try:
        cluster = parse(stack, project.load(REPOSITORY, stack).config).cluster
    except PlatformError:
        return False  # Pulumi, which can read what it encrypted, says what is wrong
    return cluster.embedded is not None or cluster.docker is not None


def run_pulumi(command: str, stack: str, *arguments: str, policies: bool) -> None:
    """Run Pulumi's CLI; exit 1 when a policy stops it."""
    try:
        pulumi_cli.run(command, stack, *arguments, policies=policies)
    except PulumiFailedError as error:
        if not error.violations:
            raise
        if AS_JSON in arguments:  # else Pulumi has printed them
            print_violations(err, error.violations)
        err.print(str(error), markup=False)
        raise typer.Exit(EXIT_VIOLATION) from None


def _confirm_loss(stack: str, allow_data_loss: bool, yes: bool) -> None:
    if not allow_data_loss or yes:
        return
    if not err.is_terminal:
        raise PlatformError("--allow-data-loss needs --yes where nobody can be asked")
    typer.confirm(
        f"Volumes and secrets of stack {stack} may be deleted for good. Go on?", abort=True, err=True
    )


def _print_details(error: NotReadyError) -> None:
    for line in error.details:
        err.print(line, markup=False)
