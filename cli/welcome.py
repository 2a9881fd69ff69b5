"""What `up` says last: that a call really goes through, what runs, and what to try next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from cli.console import out
from cli.deployed import Deployed
from cli.docker_stack import DockerStack
from cli.gateway_access import GatewayAccess
from services.kit.conventions import MCP_PATH

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import Tool

PATIENCE: Final = 20.0

NEXT: Final = """\
Next:
  mcpctl tools{stack}                    the tools behind the gateway
  mcpctl call NAME KEY=VALUE …{stack}    call one
  mcpctl token --subject me{stack}       a token for a client of your own
  mcpctl logs gateway --follow{stack}
  mcpctl preview{stack}                  what the next up would change"""


def welcome(stack: str) -> None:
    """Call one harmless tool through a stack's gateway; print how that went and what can be done next.

    Raises:
        PlatformError: The gateway does not answer, or refuses.
    """
    from cli import gateway_client  # noqa: PLC0415 - the MCP client is slow to load, and most commands don't need it

    async def action(client: Client) -> str:
        listed = await gateway_client.list_tools(client)
        chosen = next((tool for tool in listed if _is_harmless(tool)), None)
        if chosen is None:
            return f"{len(listed)} tools through the gateway; none that can be called without arguments"
        started = time.perf_counter()
        result = await client.call_tool(chosen.name, {})
        took = (time.perf_counter() - started) * 1000
        outcome = "reported an error" if result.is_error else "answered"
        return f"tool call {chosen.name} {outcome} in {took:.0f} ms, one of {len(listed)} tools"

    if (DockerStack.of(stack) or Deployed.of(stack)).settings.auth.dev_issuer:
        with GatewayAccess.of(stack) as gateway:
            said = gateway_client.run(
                gateway.url, gateway.token("mcpctl", "mcp:read mcp:call"), action, patience=PATIENCE
            )
            out.print(f"[green]✓[/] {said}")
            out.print(f"gateway: {gateway.url}{MCP_PATH}", highlight=False)
    out.print(NEXT.format(stack="" if stack == "dev" else f" --stack {stack}"), markup=False, highlight=False)


def _is_harmless(tool: Tool) -> bool:
    """Whether it only reads and needs no arguments."""
    reads = tool.annotations is not None and bool(tool.annotations.read_only_hint)
    return reads and not tool.input_schema.get("required")
