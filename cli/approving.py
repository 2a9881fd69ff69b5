"""Answers the gateway's question whether a tool may be called."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer
from mcp_types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult

from cli.console import err

if TYPE_CHECKING:
    from mcp.client.session import ElicitationFnT


def asking(*, approve: bool) -> ElicitationFnT | None:
    """How questions are answered; None where nobody is there to do it, and the gateway refuses the call.

    Args:
        approve: Yes to all of them, instead of asking on the terminal.
    """
    if not approve and not sys.stdin.isatty():
        return None

    async def answer(context: Any, params: ElicitRequestParams) -> ElicitResult:  # noqa: ANN401, ARG001 - the SDK's type
        if not isinstance(params, ElicitRequestFormParams) or params.requested_schema.get("properties"):
            err.print("the server asks for more than yes or no; use a client that shows forms")
            return ElicitResult(action="cancel")
        err.print(params.message, markup=False, highlight=False, soft_wrap=True)
        if approve or typer.confirm("Approve?", err=True):
            return ElicitResult(action="accept", content={})
        return ElicitResult(action="decline")

    return answer
