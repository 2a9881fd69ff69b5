"""The id under which a request is logged, here and at the servers that it reaches."""

import re
import secrets
from typing import Final

from services.kit.asgi import Scope

_HARMLESS: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def request_id_of(scope: Scope) -> str:
    """The caller's `X-Request-Id` where it is harmless to log, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _HARMLESS.fullmatch(value):
            return value.decode()
    return secrets.token_hex(8)
