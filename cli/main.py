"""mcpctl: the one command of the platform."""

from __future__ import annotations

import signal
import sys
from importlib.metadata import version as version_of
from typing import Annotated

import typer
from rich.markup import escape

from cli import access, cluster, operate, policy, stack
from cli.console import err
from infra.errors import PlatformError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="mcpctl",
    help="Run and operate the MCP platform. Exit codes: 0 done, 1 policy violation or failed call, 2 error.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    stack.up,
    stack.down,
    stack.preview,
    stack.render,
    stack.status,
    stack.verify,
    stack.rollback,
    stack.history,
):
    app.command()(command)
for command in (operate.logs, operate.scale):
    app.command()(command)
for command in (access.tools, access.call, access.token):
    app.command()(command)
app.add_typer(cluster.app, name="cluster")
app.add_typer(policy.app, name="policy")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version_of("mcp-platform"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run mcpctl; a failure that the user can act on is printed as one line and a hint."""
    # A cancelled CI job sends SIGTERM; what runs below us must then be ended as it is on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except PlatformError as error:
        err.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True)
        if error.hint:
            err.print(f"[yellow]hint:[/] {escape(error.hint)}", soft_wrap=True)
        sys.exit(EXIT_ERROR)
    except KeyboardInterrupt:
        err.print("interrupted; run the same command again to go on from here")
        sys.exit(EXIT_INTERRUPTED)
