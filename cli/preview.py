"""`mcpctl preview`: against a cluster, against nothing, or against another revision of the program."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from cli.acknowledging import given
from cli.console import PIPE_WIDTH, err, out, step
from cli.deployed import Deployed
from cli.docker_stack import DockerStack
from cli.preview_markdown import LIMIT, SMALLEST, as_markdown
from cli.preview_report import Report
from cli.preview_sarif import as_sarif
from cli.preview_terminal import print_report
from cli.stack import AS_JSON, EXIT_VIOLATION, AsJson, Engine, EngineName, StackName, run_pulumi, uses_pulumi
from cli.stack_views import plan_data, print_plan, print_violations
from infra.comparison.comparing import compare_revisions
from infra.comparison.prices import load as load_prices
from infra.engine import direct, plan
from infra.engine.direct import Options
from infra.engine.manifest import manifests
from infra.errors import PlatformError


class Format(StrEnum):
    """How a comparison is written."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    JSON = "json"
    SARIF = "sarif"


_BY_SUFFIX: Final[Mapping[str, Format]] = {
    ".log": Format.TERMINAL,
    ".txt": Format.TERMINAL,
    ".md": Format.MARKDOWN,
    ".json": Format.JSON,
    ".sarif": Format.SARIF,
}


def preview(
    *,
    stack: StackName = "dev",
    engine: EngineName = Engine.AUTO,
    offline: Annotated[
        bool, typer.Option("--offline", help="Compare with nothing, or with --against; needs no cluster.")
    ] = False,
    as_json: AsJson = False,
    against: Annotated[
        str | None,
        typer.Option(metavar="REF", help="Compare with this branch, tag or commit; with --offline."),
    ] = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="How a comparison is written; default: terminal.")
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Write it to a file; several, by suffix: .md .json .sarif .log .txt"
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--max-characters", min=SMALLEST, max=LIMIT, help="Of Markdown, at most.")
    ] = LIMIT,
    acknowledge: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND/NAME", help="This one may be deleted or replaced; repeat for more."),
    ] = None,
    github_event: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Take `acknowledge: KIND/NAME` from the pull request of this GitHub event."
        ),
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Prices for the estimate of cost instead of ours.")
    ] = None,
) -> None:
    """Show what `up` would do; exit 1 when a policy is violated, or data would be lost unacknowledged."""
    if against is not None:  # an empty one, such as of a variable that isn't set, is no revision
        _require(offline, "--against compares two revisions, which needs no cluster", "add --offline")
        files = _files(output or [], Format.JSON if as_json else format_)
        known = load_prices(prices)
        acknowledged = given(acknowledge or [], github_event)
        with step(f"evaluate both revisions of stack {stack}"):
            compared = compare_revisions(stack, against, known)
        report = Report.of(compared, known, acknowledged)
        _write(report, files, limit)
        raise typer.Exit(report.exit_code)
    others = (format_, output, acknowledge, github_event, prices)
    _require(
        not any(others),
        "--format, --output, --acknowledge, --github-event and --prices go with --against REF",
        "name the revision to compare with, such as --against main",
    )
    _preview_alone(stack, engine, offline=offline, as_json=as_json)


def _preview_alone(stack: str, engine: Engine, *, offline: bool, as_json: bool) -> None:
    """Against the cluster, or against nothing."""
    if not offline and uses_pulumi(engine, stack):
        run_pulumi("preview", stack, *[AS_JSON] * as_json, policies=True)
        return
    if docker := DockerStack.of(stack):
        todo, found = docker.preview(offline=offline)
    elif offline:
        graph, found = direct.evaluate(stack, step)
        todo = plan.offline(stack, manifests(graph))
    else:
        todo, found = direct.preview(Options(stack=stack, target=Deployed.of(stack).target), step)
    if as_json:
        typer.echo(json.dumps(plan_data(todo, found), indent=2, default=str))
    else:
        print_plan(out, todo)
        print_violations(out, found)
    if todo.refusals:
        raise PlatformError(f"stack {stack}: the API server refuses {len(todo.refusals)} objects, see above")
    if any(item.mandatory for item in found):
        raise typer.Exit(EXIT_VIOLATION)


def _require(condition: bool, message: str, hint: str) -> None:
    if not condition:
        raise PlatformError(message, hint=hint)


def _files(output: Sequence[Path], chosen: Format | None) -> dict[Path | None, Format]:
    """What is written where; None is standard output."""
    if not output:
        return {None: chosen or Format.TERMINAL}
    if chosen:
        _require(len(output) == 1, "--format and several --output exclude each other", "name files by suffix")
        return {output[0]: chosen}
    unknown = [file for file in output if file.suffix not in _BY_SUFFIX]
    _require(
        not unknown,
        f"--output {unknown[0] if unknown else ''}: its suffix tells no format",
        f"add --format, or end the name with {', '.join(_BY_SUFFIX)}",
    )
    return {file: _BY_SUFFIX[file.suffix] for file in output}


def _write(report: Report, files: Mapping[Path | None, Format], limit: int) -> None:
    for file, chosen in files.items():
        if file is None and chosen is Format.TERMINAL:
            print_report(out, report)
            continue
        text = _text(report, chosen, limit)
        if file is None:
            sys.stdout.write(text)
            continue
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise PlatformError(f"--output {file}: {error.strerror}") from None
        err.print(f"written: {file}", markup=False)


def _text(report: Report, chosen: Format, limit: int) -> str:
    writers: Mapping[Format, Callable[[], str]] = {
        Format.TERMINAL: lambda: _plain(report),
        Format.MARKDOWN: lambda: as_markdown(report, limit),
        Format.JSON: lambda: json.dumps(report.as_data(), indent=2, ensure_ascii=False) + "\n",
        Format.SARIF: lambda: json.dumps(as_sarif(report), indent=2, ensure_ascii=False) + "\n",
    }
    return writers[chosen]()


def _plain(report: Report) -> str:
    """As on a terminal, without colours."""
    console = Console(width=PIPE_WIDTH, soft_wrap=True, color_system=None, force_terminal=False)
    with console.capture() as captured:
        print_report(console, report)
    return captured.get()
