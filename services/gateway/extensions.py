"""Extensions of MCP that concern the gateway."""

from typing import Final

import msgspec

from services.gateway.messages import DECODE_ERRORS, decode_object, raw

TASKS: Final = "io.modelcontextprotocol/tasks"

_TASKS: Final = TASKS.encode()


def without_tasks(capabilities: msgspec.Raw) -> msgspec.Raw:
    """A caller's capabilities as servers may know them: tasks are the gateway's to make."""
    if _TASKS not in bytes(capabilities):
        return capabilities
    try:
        known = decode_object(capabilities)
        extensions = decode_object(known["extensions"])
    except (KeyError, *DECODE_ERRORS):
        return capabilities
    extensions.pop(TASKS, None)
    return raw({**known, "extensions": extensions})
