"""A server whose calls take until they are let go, and leave a trace: `job_server.py FOLDER PORT`.

A call writes its arguments' `name` to a file of that name, a line for each time it is made.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Elicit, ElicitationResult, RequestStateSecurity, Resolve
from mcp.types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    ToolAnnotations,
)
from pydantic import BaseModel

folder, port = Path(sys.argv[1]), int(sys.argv[2])
state = RequestStateSecurity(keys=[b"a key that all replicas have in common"])
server = MCPServer("jobs", log_level="WARNING", request_state_security=state)
DECLARED = {"dev.mcp-platform/taskSupport": "optional"}


async def work(name: str) -> str:
    with (folder / name).open("a") as file:
        file.write("run\n")
    while not (folder / f"{name}.go").exists():  # noqa: ASYNC110 - another process makes the file
        await asyncio.sleep(0.05)
    return f"{name} is done"


@server.tool()
async def once(name: str) -> str:
    """Do something that mustn't be done twice."""
    return await work(name)


@server.tool(annotations=ToolAnnotations(idempotent_hint=True))
async def again(name: str) -> str:
    """Do something that may be done twice."""
    return await work(name)


@server.tool(meta=DECLARED)
async def declared(name: str) -> str:
    """Be a task by the server's own word."""
    return name


@server.tool()
def fail() -> str:
    """Always fail."""
    raise ValueError("this tool fails")


@server.tool()
def big(size: int) -> str:
    """Give a lot."""
    return "x" * size


class Wish(BaseModel):
    color: str


def wish() -> Elicit[Wish]:
    return Elicit("Which color?", Wish)


@server.tool()
def paint(answer: Annotated[ElicitationResult[Wish], Resolve(wish)]) -> str:
    """Ask for a color."""
    return answer.data.color if answer.action == "accept" else answer.action


def form(message: str) -> ElicitRequest:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


@server.tool()
def both(context: Context) -> str | InputRequiredResult:
    """Ask for two things at once, and for one more by the same key."""
    answers = context.input_responses or {}
    if context.request_state == "last" and "first" in answers:
        return "all three"
    if {"first", "second"} <= answers.keys():
        texts = [it.content for it in answers.values() if isinstance(it, ElicitResult)]
        assert len(texts) == 2
        return InputRequiredResult(input_requests={"first": form("again")}, request_state="last")
    return InputRequiredResult(
        input_requests={"first": form("one"), "second": form("two")}, request_state="first"
    )


app = server.streamable_http_app(stateless_http=True, json_response=True)
uvicorn.run(app, port=port, log_level="warning", loop="uvloop", http="httptools")
