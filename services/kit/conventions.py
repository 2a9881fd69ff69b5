"""Names that a service and what is declared about it must agree on.

`infra` and `cli` read these, so that a probe, a ServiceMonitor or a selector can't drift from the code.
Standard library only: importing this module must cost nothing.
"""

from typing import Final

MCP_PORT: Final = 8080
"""TCP port of the service's own protocol (MCP over HTTP, or a service's HTTP API)."""

OPS_PORT: Final = 9090
"""TCP port of health and metrics, kept off the public port."""

MCP_PORT_NAME: Final = "mcp"
OPS_PORT_NAME: Final = "ops"

MCP_PATH: Final = "/mcp"
METADATA_PATH: Final = "/.well-known/oauth-protected-resource"
"""Where clients learn whose tokens they need; followed by the path of what they call."""

LIVE_PATH: Final = "/health/live"
READY_PATH: Final = "/health/ready"
STARTED_PATH: Final = "/health/started"
METRICS_PATH: Final = "/metrics"

SERVER_LABEL: Final = "mcp-platform.dev/server"
"""Label of a Service (and so of its EndpointSlices) that is an MCP server; its value is the server's name."""

SERVER_NAME_SEPARATOR: Final = "__"
"""Between a server's name and a tool's or prompt's own: `filesystem__read_file`."""

MISSING_SERVERS_META: Final = "dev.mcp-platform/missingServers"
"""Key in the `_meta` of the gateway's lists: an object of server name → why its part is missing."""

ALL_TOOLS_META: Final = "dev.mcp-platform/allTools"
"""Key in the `_meta` of `tools/list`: `true` has the gateway list also what it leaves to its search."""

TASK_SUPPORT_META: Final = "dev.mcp-platform/taskSupport"
"""Key in the `_meta` of a server's tool whose calls the gateway makes tasks of: `optional` or `required`."""

RUN_AS_USER: Final = 10001
"""User and group id of every service process."""

DRAIN_SECONDS: Final = 20
"""How long a service finishes what is in flight after SIGTERM."""
