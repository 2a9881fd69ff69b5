"""`mcpctl tools`, `call` and `token`: use the platform as a client of its gateway.

The MCP client is imported by the commands that need it: it takes longer to load than all else together.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from cli.arguments import parse_arguments
from cli.console import out
from cli.gateway_access import GatewayAccess
from infra.errors import PlatformError

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import CallToolResult, Tool

Stack = Annotated[str, typer.Option("--stack", "-s", help="The stack whose gateway is asked.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

CALL_SCOPES = "mcp:read mcp:call"
EXIT_TOOL_ERROR = 1


def tools(stack: Stack = "dev", as_json: AsJson = False) -> None:
    """List the tools of all servers behind the gateway."""
    from cli import gateway_client  # noqa: PLC0415 - see the module's docstring

    with GatewayAccess.of(stack) as gateway:
        listed = gateway_client.run(
            gateway.url, gateway.token("mcpctl", "mcp:read"), gateway_client.list_tools
        )
    if as_json:
        typer.echo(json.dumps([_plain(tool) for tool in listed], indent=2))
        return
    table = Table(Column("tool", no_wrap=True), "arguments", "what it does", box=None, header_style="bold")
    for tool in listed:
        table.add_row(tool.name, _arguments_of(tool), (tool.description or "").strip().split("\n")[0])
    out.print(table)


def call(
    name: Annotated[str, typer.Argument(help="The tool, as `mcpctl tools` lists it.")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE")] = None,
    stack: Stack = "dev",
    as_json: AsJson = False,
    approve: Annotated[
        bool, typer.Option("--approve", help="Approve the call where the gateway asks, without being asked.")
    ] = False,
) -> None:
    """Call one tool; exit 1 when the tool reports an error.

    A string argument is taken as it stands, any other is JSON:
    `mcpctl call filesystem__read_file path=a.txt limit=10`.
    """
    from cli import gateway_client  # noqa: PLC0415 - see the module's docstring
    from cli.approving import asking  # noqa: PLC0415 - as above

    async def action(client: Client) -> CallToolResult:
        listed = {tool.name: tool for tool in await gateway_client.list_tools(client)}
        if name not in listed:
            raise PlatformError(
                f"no tool {name!r} behind the gateway of stack {stack}", hint="mcpctl tools lists them"
            )
        return await client.call_tool(name, parse_arguments(arguments or [], listed[name].input_schema))

    with GatewayAccess.of(stack) as gateway:
        token = gateway.token("mcpctl", CALL_SCOPES)
        result = gateway_client.run(gateway.url, token, action, ask=asking(approve=approve))
    if as_json:
        typer.echo(json.dumps(_plain(result), indent=2))
    else:
        _print_result(result)
    if result.is_error:
        raise typer.Exit(EXIT_TOOL_ERROR)


def token(
    subject: Annotated[str, typer.Option("--subject", help="Who the token speaks for.")],
    scope: Annotated[list[str] | None, typer.Option("--scope", help="May be given more than once.")] = None,
    ttl: Annotated[int, typer.Option("--ttl", min=1, max=86_400, help="Seconds that it is valid.")] = 3600,
    stack: Stack = "dev",
) -> None:
    """Print a bearer token of the stack's development issuer."""
    with GatewayAccess.of(stack) as gateway:
        typer.echo(gateway.token(subject, " ".join(scope or [CALL_SCOPES]), ttl_seconds=ttl))


def _plain(model: Tool | CallToolResult) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def _arguments_of(tool: Tool) -> str:
    required = set(tool.input_schema.get("required", []))
    names = tool.input_schema.get("properties", {})
    return " ".join(name if name in required else f"[{name}]" for name in names).replace("[", "\\[")


def _print_result(result: CallToolResult) -> None:
    if result.structured_content is not None:
        out.print_json(data=result.structured_content)
        return
    for block in result.content:
        if block.type == "text":
            out.print(block.text, markup=False, highlight=False)
        else:
            out.print_json(block.model_dump_json(by_alias=True, exclude_none=True))
