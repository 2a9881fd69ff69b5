"""What can be read of the gateway: its health, its settings, the tools, and where tokens come from."""

from typing import Any, Final, Literal

import msgspec

from services.gateway.access import READ_SCOPE, Access
from services.gateway.call import Call, Era
from services.gateway.config import GatewayConfig
from services.gateway.errors import HttpRefusal
from services.gateway.lists import Lists
from services.gateway.web.operation import Operation, Reply, WebRequest
from services.kit.conventions import MCP_PATH, METADATA_PATH
from services.kit.health import Health
from services.kit.ops import HEALTH_PATH, HealthReport, health_report
from services.kit.version import VERSION

CONFIG_PATH: Final = "/config"
TOOLS_PATH: Final = "/tools"


class ProtectedResource(msgspec.Struct):
    """Who issues tokens for what (RFC 9728)."""

    resource: str
    authorization_servers: list[str]
    scopes_supported: list[str]
    bearer_methods_supported: list[str]
    resource_name: str


class EffectiveConfig(GatewayConfig):
    """The settings in force, and the gateway's version. It is never read, only described."""

    version: str = VERSION


class Tool(msgspec.Struct):
    """A tool; its other fields are MCP's."""

    name: str


class ToolList(msgspec.Struct):
    """What `tools/list` answers."""

    tools: list[Tool]
    ttl_ms: int = msgspec.field(name="ttlMs")
    cache_scope: Literal["public", "private"] = msgspec.field(name="cacheScope")


def operations(
    service: str, health: Health, access: Access, config: GatewayConfig, lists: Lists
) -> list[Operation]:
    """The rows of the routing table that change nothing."""

    async def answer_health(_request: WebRequest) -> Reply:
        report = await health_report(service, health)
        return Reply(200 if report.passed else 503, msgspec.json.encode(report))

    async def answer_metadata(_request: WebRequest) -> dict[str, Any]:
        if access.metadata is None:
            raise HttpRefusal(404, "no token is needed here", reason="not_found")
        return access.metadata

    async def answer_config(_request: WebRequest) -> dict[str, Any]:
        return {"version": VERSION, **config.public()}

    async def answer_tools(request: WebRequest) -> dict[str, msgspec.Raw]:
        return await lists.answer(
            Call(0, "tools/list", {}, {}, Era.STATELESS, request.principal, request.view)
        )

    return [
        Operation(
            path=HEALTH_PATH,
            answer=answer_health,
            scope=None,
            summary="Whether requests should come here, and each check behind that",
            returns=HealthReport,
            answers={503: "They shouldn't"},
        ),
        *(
            Operation(
                path=path,
                answer=answer_metadata,
                scope=None,
                summary="Who issues tokens for this gateway (RFC 9728)",
                returns=ProtectedResource,
                refusals={404: "No token is needed here"},
            )
            for path in (METADATA_PATH, METADATA_PATH + MCP_PATH)
        ),
        Operation(
            path=CONFIG_PATH,
            answer=answer_config,
            scope=READ_SCOPE,
            summary="The settings in force; none of them is secret",
            returns=EffectiveConfig,
        ),
        Operation(
            path=TOOLS_PATH,
            answer=answer_tools,
            scope=READ_SCOPE,
            summary="The tools that there are for the caller",
            returns=ToolList,
        ),
    ]
