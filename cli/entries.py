"""`mcpctl secrets`: the entries that a stack's secret store must have."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from cli.console import err, out, step
from cli.entry_store import Entry, SecretsManager, Store, complete, connect, entries, store
from infra.engine.record import record
from infra.errors import PlatformError

app = typer.Typer(help="Entries of the store that a stack's Secrets are copied from.", no_args_is_help=True)

Stack = Annotated[str, typer.Option("--stack", "-s", help="The stack.")]


@app.command("list")
def list_(
    stack: Stack = "prod", as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Show which entries must exist, and what must be in them; no store is asked."""
    of, wanted = _declared(stack)
    if as_json:
        typer.echo(
            json.dumps({"store": asdict(of), "entries": [asdict(entry) for entry in wanted]}, indent=2)
        )
        return
    table = Table("entry", "Secrets", "random", "yours", box=None)
    for entry in wanted:
        yours = [key for key in entry.keys if key not in entry.random]
        table.add_row(entry.name, ", ".join(entry.secrets), ", ".join(entry.random), ", ".join(yours))
    out.print(table)
    out.print(f"each a JSON object of these keys, in {of.title}")


@app.command()
def create(stack: Stack = "prod") -> None:
    """Make what is missing of random values, in AWS Secrets Manager; nothing that is there changes.

    Credentials come from where AWS's tools find them. No value is shown or written anywhere else.
    """
    of, wanted = _declared(stack)
    if of.region is None:
        raise PlatformError(
            f"stack {stack}: its secrets are in {of.title}, which this command can't write to",
            hint="make the entries that `mcpctl secrets list` shows with the store's own tools",
        )
    client: SecretsManager = connect(of.region, of.accounts)
    for entry in wanted:
        done = complete(client, entry)
        if done.made:
            out.print(f"{entry.name}: made {', '.join(done.made)}")
        if done.missing:
            err.print(f"[yellow]{entry.name}: yours to fill in: {', '.join(done.missing)}[/]")


def _declared(stack: str) -> tuple[Store, list[Entry]]:
    with step("evaluate the program"):
        graph = record(stack)
    found = store(graph)
    if found is None:
        raise PlatformError(
            f"stack {stack}: its secrets are made by the program, not copied from a store",
            hint="set external_secrets; docs/guides/secrets.md says what it needs",
        )
    return found, entries(graph)
