"""What every MCP server shares: see `services/servers/echo.py` for how it is used."""

from services.servers.kit.blocking import AbandonedError, checkpoint
from services.servers.kit.errors import ToolFailure
from services.servers.kit.running import run
from services.servers.kit.server import READ_ONLY, ToolServer
from services.servers.kit.settings import ServerSettings

__all__ = ["READ_ONLY", "AbandonedError", "ServerSettings", "ToolFailure", "ToolServer", "checkpoint", "run"]
