"""Files as MCP resources: `file:///data/a.txt`, and the list of allowed folders.

A URI is percent-encoded by definition, so unlike in a tool's argument `%2e%2e` in it is `..`, and refused.
"""

from urllib.parse import quote

from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.server.mcpserver.resources import ResourceSecurity

from services.servers.filesystem.errors import FileError
from services.servers.filesystem.names import Location
from services.servers.filesystem.reading import read_piece, represent
from services.servers.filesystem.results import AllowedDirectories
from services.servers.filesystem.sandbox import Sandbox
from services.servers.filesystem.settings import FilesystemSettings
from services.servers.kit import ToolServer

# The sandbox decides what a path may be; the SDK's guess by the text would refuse good names such as `C:x`.
_SANDBOXED = ResourceSecurity(exempt_params=frozenset({"path"}))


def uri_of(place: Location) -> str:
    """The `file:` URI of a place."""
    return "file://" + quote(place.path)


def add_resources(server: ToolServer, sandbox: Sandbox, settings: FilesystemSettings) -> None:
    """Give `server` the files in `sandbox` as resources."""

    @server.resource("filesystem://directories", title="Allowed folders", mime_type="application/json")
    async def directories() -> AllowedDirectories:
        """The folders that this server serves, whether it may write, and how large files may be."""
        return allowed(settings)

    @server.resource("file:///{+path}", title="File", security=_SANDBOXED)
    def file(path: str) -> str | bytes:
        """A whole file, by its absolute path: text where it is UTF-8, else binary."""
        try:
            place = sandbox.locate(f"/{path}")
            piece = read_piece(sandbox, place, offset=0, limit=None, most=settings.most_read_bytes)
        except FileError as error:
            raise ResourceNotFoundError(str(error)) from error
        found = represent(place, piece, "auto")
        return found.content if found.encoding == "utf-8" else piece.data


def allowed(settings: FilesystemSettings) -> AllowedDirectories:
    """What `settings` allow."""
    return AllowedDirectories(
        directories=list(settings.filesystem_roots),
        read_only=settings.filesystem_read_only,
        max_file_bytes=settings.filesystem_max_file_bytes,
        max_read_bytes=settings.most_read_bytes,
    )
