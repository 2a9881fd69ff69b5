"""What tests of approval share: the server whose tools destroy, and calls of them in rounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from conftest import Gateway

FORMS = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}
KEY = "gateway_approval"
ACCEPT = {KEY: {"action": "accept", "content": {}}}


@dataclass
class Risky:
    url: str

    @property
    def servers(self) -> list[dict[str, Any]]:
        return [{"name": "risky", "urls": [f"{self.url}/mcp"]}]

    @property
    def seen(self) -> list[dict[str, Any]]:
        """The parameters of the tool calls that came through, oldest first."""
        return httpx2.get(f"{self.url}/seen").json()

    @property
    def lists(self) -> int:
        return httpx2.get(f"{self.url}/lists").json()

    def listing(self, *, works: bool) -> None:
        httpx2.post(f"{self.url}/lists", json=[works])


def call(
    gateway: Gateway,
    tool: str,
    arguments: dict[str, Any] | None = None,
    *,
    token: str | None = None,
    meta: dict[str, Any] = FORMS,
    **params: Any,
) -> httpx2.Response:
    content = {"name": f"risky__{tool}", "arguments": arguments or {}, **params}
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return gateway.mcp("tools/call", content, meta=meta, headers=headers)


def asked(response: httpx2.Response) -> str:
    """The state that goes with our question."""
    result = response.json()["result"]
    assert result["resultType"] == "input_required", result
    assert list(result["inputRequests"]) == [KEY], result
    return result["requestState"]


def approve(gateway: Gateway, tool: str, state: str, arguments: Any = None, **more: Any) -> httpx2.Response:
    return call(gateway, tool, arguments, requestState=state, inputResponses=ACCEPT, **more)


def done(response: httpx2.Response) -> bool:
    return response.json().get("result", {}).get("resultType") == "complete"


def outcome(gateway: Gateway, word: str) -> float:
    return gateway.metric(f'mcp_gateway_approvals_total{{outcome="{word}"}}')
