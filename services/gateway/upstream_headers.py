"""The headers of what servers are asked, and the types of what they may answer."""

from collections.abc import Mapping
from typing import Final

PROTOCOL_VERSION: Final = "2026-07-28"
JSON_TYPE: Final = "application/json"
STREAM_TYPE: Final = "text/event-stream"


def upstream_headers(method: str, name: str | None, extra: Mapping[str, str]) -> dict[str, str]:
    """The headers of a 2026-07-28 request; `name` is already encoded for a header."""
    headers = {
        "Content-Type": JSON_TYPE,
        "Accept": f"{JSON_TYPE}, {STREAM_TYPE}",
        "Accept-Encoding": "identity",
        "MCP-Protocol-Version": PROTOCOL_VERSION,
        "Mcp-Method": method,
        **extra,
    }
    if name is not None:
        headers["Mcp-Name"] = name
    return headers
