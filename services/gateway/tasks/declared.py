"""What a server's list of tools says of tasks."""

from typing import Final

import msgspec

from services.gateway.messages import DECODE_ERRORS, RawObject
from services.kit.conventions import TASK_SUPPORT_META

_SUPPORT: Final = frozenset({"optional", "required"})


class _Execution(msgspec.Struct):
    support: str = msgspec.field(default="forbidden", name="taskSupport")


_execution: Final = msgspec.json.Decoder(_Execution)
_meta: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def task_support(tool: RawObject) -> str | None:
    """`optional` or `required`, where the tool says so: in its `_meta`, or as in 2025-11-25."""
    try:
        if "_meta" in tool and TASK_SUPPORT_META in (meta := _meta.decode(tool["_meta"])):
            support = msgspec.json.decode(meta[TASK_SUPPORT_META], type=str)
        elif "execution" in tool:
            support = _execution.decode(tool["execution"]).support
        else:
            return None
    except DECODE_ERRORS:
        return None
    return support if support in _SUPPORT else None
