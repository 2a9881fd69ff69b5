"""What is pinned and what is withheld, for who approves tools."""

from typing import Any, Final

from services.gateway.access import ADMIN_SCOPE
from services.gateway.errors import HttpRefusal
from services.gateway.pinning.assembly import PinBoard
from services.gateway.web.operation import Operation, Parameter, WebRequest

PINS_PATH: Final = "/admin/pins"
_DEFINITIONS: Final = "definitions"


def operations(pins: PinBoard) -> list[Operation]:
    """The rows of the routing table."""

    async def answer(request: WebRequest) -> dict[str, Any]:
        wanted = request.query.get(_DEFINITIONS, "false")
        if wanted not in {"true", "false"}:
            raise HttpRefusal(400, "definitions must be true or false", reason="query", violation=False)
        state = pins.state()
        return state | {"servers": await pins.inventory.take()} if wanted == "true" else state

    return [
        Operation(
            path=PINS_PATH,
            answer=answer,
            scope=ADMIN_SCOPE,
            summary="The lock of tools in force, and what is withheld until somebody approves it",
            returns=dict[str, Any],
            query={
                _DEFINITIONS: Parameter(
                    "Whether to ask all servers for their definitions now", values=("true", "false")
                )
            },
        )
    ]
