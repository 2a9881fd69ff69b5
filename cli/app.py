"""What mcpctl is made of: one command a function."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Annotated

import typer

from cli import access, cluster, entries, operate, policy, preview, stack, tools

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
    preview.preview,
    stack.render,
    stack.status,
    stack.verify,
    stack.rollback,
    stack.history,
):
    app.command()(command)
for command in (operate.logs, operate.scale):
    app.command()(command)
for command in (access.call, access.token):
    app.command()(command)
app.add_typer(cluster.app, name="cluster")
app.add_typer(policy.app, name="policy")
app.add_typer(entries.app, name="secrets")
app.add_typer(tools.app, name="tools")


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
