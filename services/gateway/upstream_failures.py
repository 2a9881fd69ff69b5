"""Says in the log why a server couldn't be asked, but nothing of what it answered."""

from services.gateway.fleet import Endpoint, Server
from services.kit.logs import get_logger


def reason_of(error: Exception) -> str:
    """What went wrong: in the system's words, or by the error's name, since its text may quote the answer."""
    name = type(error).__name__
    if isinstance(error, OSError):
        return f"{name}: {error}"
    return name if error.__cause__ is None else f"{name}: {type(error.__cause__).__name__}"


def log_failure(what: str, server: Server, endpoint: Endpoint, reason: str) -> None:
    """An attempt to ask `endpoint` failed."""
    get_logger().warning(what, server=server.name, endpoint=endpoint.url, reason=reason)
