"""What a caller can be asked for in the middle of its call."""

from services.gateway.call import Call, Era
from services.gateway.eras import CAPABILITIES_KEY
from services.gateway.messages import DECODE_ERRORS, RawObject, decode_object
from services.gateway.session import capabilities_of


def capabilities(call: Call) -> RawObject:
    """What the caller declared. One of the older generation can be asked within a stream only."""
    if call.era is Era.STATELESS:
        return _object(call.meta, CAPABILITIES_KEY) or {}
    return {} if call.on_event is None else capabilities_of(call.session)


def takes_forms(call: Call) -> bool:
    """Whether the caller shows forms to its human; one that names no mode of elicitation means this one."""
    modes = _object(capabilities(call), "elicitation")
    return modes is not None and (not modes or _object(modes, "form") is not None)


def _object(parent: RawObject, key: str) -> RawObject | None:
    try:
        return decode_object(parent[key])
    except (KeyError, *DECODE_ERRORS):
        return None
