"""`docs/metrics.md`: every metric of the gateway, from the objects themselves (`make docs`)."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from services.gateway.app import GatewayApp
from services.gateway.config import GatewayConfig
from services.kit.health import Health
from services.kit.metrics import ErrorType

HEAD: Final = f"""\
# Metrics of the gateway

`GET /metrics` on port 9090 has them. Tool servers report those whose names begin with `mcp_tool_`, too.
Besides, every service has the usual `process_…` and `python_…` ones. This page is made from the code by
`make docs`.

Each label has a bounded number of values:

| label | values |
|---|---|
| `server` | names of servers that were discovered |
| `tool` | tools that were listed, or called with success; `other` beyond 2,000 and for all else |
| `status` of a tool call | `ok`, `error` |
| `error_type` | {", ".join(f"`{it}`" for it in ErrorType)} |
| `method` | MCP methods that the gateway knows; `other` for all else |
| `era` | `2026-07-28`, `2025-11-25`; `none` for what was refused before that was known |
| `status` of a request | HTTP status codes; 499: the caller left before the answer |
| `issuer` | issuers of the configuration |
| `reason`, `scope`, `mode`, `outcome`, `action` | words of the code: why, which limit, what was done |
| `kind` | kinds of hidden characters; kinds of secrets, built in or of the configuration; kinds of changes |
| `cache`, `level` | `tools`, `lists`, `reads`; `l1` (the process), `l2` (Redis) |
| `source` | where a change was heard of: here or from another replica |

| metric | type | labels | meaning |
|---|---|---|---|
"""

_EVERYTHING: Final = {
    "listen": {"host": "127.0.0.1"},
    "auth": "none",
    "servers": [{"name": "example", "urls": ["http://127.0.0.1/mcp"]}],
    "redis": {"host": "127.0.0.1"},
    "postgres": {"host": "127.0.0.1", "database": "gateway", "user": "gateway"},
    "audit": {},
    "tasks": {},
}
"""A configuration under which every metric is there."""


def page() -> str:
    """The page's Markdown."""
    registry = CollectorRegistry()
    GatewayApp(GatewayConfig.model_validate(_EVERYTHING), Health(), registry)
    return HEAD + "".join(row for _, row in sorted(_rows(registry)))


def _rows(registry: CollectorRegistry) -> Iterator[tuple[str, str]]:
    """Each with the metric's name."""
    # The labels of a metric that nothing was counted in yet are told by private attributes only.
    for collector in registry._collector_to_names:  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        for family in collector.collect():
            source = collector if isinstance(collector, MetricWrapperBase) else family
            labels = ", ".join(f"`{label}`" for label in getattr(source, "_labelnames", ()))
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield name, f"| `{name}` | {family.type} | {labels or 'none'} | {family.documentation} |\n"


if __name__ == "__main__":
    print(page(), end="")
