"""A server by the official SDK: `mcp_server.py NAME PORT [stream]`."""

import asyncio
import os
import sys
from typing import Annotated

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Elicit, ElicitationResult, RequestStateSecurity, Resolve
from mcp.types import Completion, CompletionArgument
from pydantic import BaseModel, Field

name, port, streams = sys.argv[1], int(sys.argv[2]), "stream" in sys.argv
# The same key for all replicas: a call's next round may reach another one.
state = RequestStateSecurity(keys=[b"a key that all replicas have in common"])
server = MCPServer(name, log_level="WARNING", request_state_security=state)


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def fail() -> str:
    """Always fail."""
    raise ValueError("this tool fails")


@server.tool()
def which() -> str:
    """Name the replica."""
    return str(os.getpid())


@server.tool()
async def slow(seconds: float) -> str:
    """Take a while."""
    await asyncio.sleep(seconds)
    return "done"


@server.tool()
async def steps(count: int, context: Context) -> str:
    """Report progress."""
    for step in range(count):
        await context.report_progress(step + 1, count)
    return f"{count} steps"


@server.tool()
def place(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})],
    rack: Annotated[int, Field(json_schema_extra={"x-mcp-header": "Rack"})] = 0,
) -> str:
    """Take parameters that are repeated in headers."""
    return f"{region} {rack}"


class Wish(BaseModel):
    color: str


def wish() -> Elicit[Wish]:
    return Elicit("Which color?", Wish)


@server.tool()
def paint(answer: Annotated[ElicitationResult[Wish], Resolve(wish)]) -> str:
    """Ask for a color."""
    return answer.data.color if answer.action == "accept" else answer.action


@server.tool()
async def chat(context: Context) -> str:
    """Send messages."""
    await context.debug("a debug message")  # pyright: ignore[reportDeprecated] - older clients have it
    await context.info("an info message")  # pyright: ignore[reportDeprecated] - as above
    await context.error("an error message")  # pyright: ignore[reportDeprecated] - as above
    return "done"


@server.resource("note://first")
def first() -> str:
    """Give a fixed note."""
    return f"the first note of {name}"


@server.resource("note://by/{title}")
def by_title(title: str) -> str:
    """Give any note."""
    return f"a note called {title}"


@server.prompt()
def greet(whom: str) -> str:
    """Greet somebody."""
    return f"Say hello to {whom}."


@server.completion()
async def complete(ref: object, argument: CompletionArgument, _context: object) -> Completion:
    """Suggest what says where it was asked."""
    return Completion(values=[f"{name} {type(ref).__name__} {argument.value}"])


app = server.streamable_http_app(stateless_http=True, json_response=not streams)
uvicorn.run(app, port=port, log_level="warning", loop="uvloop", http="httptools")
