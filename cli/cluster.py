"""`mcpctl cluster`: the embedded Kubernetes, for machines that have no other."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from cli.console import err, out, step
from infra.cluster import Cluster, ClusterStatus
from infra.cluster.report import log_tail
from infra.cluster.spec import DEFAULT_NAME

LOG_LINES = 5

app = typer.Typer(help="The embedded Kubernetes, for machines that have no other.", no_args_is_help=True)

Name = Annotated[
    str, typer.Option("--name", help="Which cluster; each has its own data, addresses and ports.")
]


@app.command()
def up(
    name: Name = DEFAULT_NAME,
    api_port: Annotated[int | None, typer.Option(help="Port of 127.0.0.1 for the Kubernetes API.")] = None,
    gateway_port: Annotated[int | None, typer.Option(help="Port of 127.0.0.1 for the MCP gateway.")] = None,
) -> None:
    """Start the cluster and wait until it is ready; what is missing is built first."""
    cluster = Cluster.named(name)
    with step(f"Cluster {name}") as report:
        cluster.up(report, api_port=api_port, gateway_port=gateway_port)
    spec = cluster.spec
    err.print(f"Kubernetes API  {spec.api_url}  (context {spec.context})", markup=False)
    err.print(f"MCP gateway     {spec.gateway_url}", markup=False)


@app.command()
def down(
    name: Name = DEFAULT_NAME,
    purge: Annotated[
        bool,
        typer.Option("--purge", help="Delete its data too, and built programs and images with the last one."),
    ] = False,
) -> None:
    """Stop the cluster; its data stays unless --purge is given."""
    with step(f"Cluster {name} down") as report:
        Cluster.named(name).down(report, purge=purge)


@app.command()
def status(
    name: Name = DEFAULT_NAME,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show every component of the cluster; exit code 1 unless it is ready."""
    found = Cluster.named(name).status()
    if as_json:
        out.print_json(
            json.dumps({**asdict(found), "running": found.running, "ready": found.ready}, default=str)
        )
    else:
        show(found)
    if not found.ready:
        raise typer.Exit(1)


def show(found: ClusterStatus) -> None:
    """Print a cluster's status: a table of its components, and the last words of those that are not ready."""
    if not found.running:
        out.print(f"cluster {found.name} is down")
        return
    table = Table("component", "state", "pid", "restarts", box=None)
    for one in found.components:
        colour = "green" if one.state == "ready" else "yellow"
        table.add_row(one.name, f"[{colour}]{one.state}[/]", str(one.pid or ""), str(one.restarts))
    out.print(table)
    for one in found.components:
        if one.state != "ready":
            print(f"\nThe last lines of {one.log}:\n{log_tail(one.log, LOG_LINES)}")
    print(f"\nnode         {'ready' if found.node_ready else 'not ready'}")
    print(f"API          {found.api_url}")
    print(f"gateway      {found.gateway_url}")
    print(f"logs         {found.logs}")
    print(f"a shell in   nsenter --target {found.pid} --all")


@app.command()
def kubeconfig(
    name: Name = DEFAULT_NAME,
    path: Annotated[bool, typer.Option("--path", help="Only the file's path.")] = False,
) -> None:
    """Print how to point a shell's kubectl at the cluster: `eval "$(mcpctl cluster kubeconfig)"`."""
    cluster = Cluster.named(name)
    _ = cluster.spec  # raises when there is no such cluster
    print(cluster.kubeconfig if path else f"export KUBECONFIG={cluster.kubeconfig}")


if __name__ == "__main__":
    app()
