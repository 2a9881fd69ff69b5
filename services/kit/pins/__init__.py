"""Pins: what tools and prompts were when somebody approved them, in a file that is signed.

Shared by the gateway, which holds servers to them, and mcpctl, which makes them.
"""

from services.kit.pins.definition import (
    Definition,
    MalformedDefinitionError,
    digest_of,
    parse_definition,
)
from services.kit.pins.keys import PinKeyError, SigningKey, VerifyingKey
from services.kit.pins.lock import KINDS, PROMPTS, TOOLS, Lock, LockError, Pinned
from services.kit.pins.resemblance import skeleton

__all__ = [
    "KINDS",
    "PROMPTS",
    "TOOLS",
    "Definition",
    "Lock",
    "LockError",
    "MalformedDefinitionError",
    "PinKeyError",
    "Pinned",
    "SigningKey",
    "VerifyingKey",
    "digest_of",
    "parse_definition",
    "skeleton",
]
