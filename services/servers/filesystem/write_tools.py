"""The tools that change files; a read-only server has none of them."""

import base64
import binascii
from typing import Annotated, Literal

from mcp_types import ToolAnnotations
from pydantic import Field

from services.servers.filesystem import tree, writing
from services.servers.filesystem.errors import FileError
from services.servers.filesystem.read_tools import FilePath, FolderPath
from services.servers.filesystem.results import Deleted, DirectoryCreated, Moved, Written
from services.servers.filesystem.sandbox import Sandbox
from services.servers.filesystem.settings import FilesystemSettings
from services.servers.kit import ToolServer

_ADDS_ONCE = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_DESTROYS = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False
)


def add_write_tools(server: ToolServer, sandbox: Sandbox, settings: FilesystemSettings) -> None:
    """Give `server` the tools that change what is in `sandbox`."""

    @server.tool(title="Write a file", annotations=_DESTROYS)
    def write_file(
        path: FilePath,
        content: Annotated[str, Field(description="The file's contents, or what to append")],
        mode: Annotated[
            writing.Mode,
            Field(
                description="create fails when the file exists; overwrite replaces it; append adds to its end"
            ),
        ] = "create",
        encoding: Annotated[
            Literal["utf-8", "base64"], Field(description="How `content` represents bytes")
        ] = "utf-8",
    ) -> Written:
        """Write a file in one step: nobody sees half of it, and a failure leaves it as it was."""
        place = sandbox.locate(path)
        data = _decode(content, encoding)
        return writing.write(sandbox, place, data, mode, most=settings.filesystem_max_file_bytes)

    @server.tool(title="Create a directory", annotations=_ADDS_ONCE)
    def create_directory(path: FolderPath) -> DirectoryCreated:
        """Create a directory and those above it; fine when it exists."""
        place = sandbox.locate(path)
        return DirectoryCreated(path=place.path, created=tree.create_directory(sandbox, place))

    @server.tool(title="Move or rename", annotations=_DESTROYS)
    def move_file(
        source: Annotated[str, Field(description="Path of the file or directory to move")],
        destination: Annotated[
            str, Field(description="Its new path, with its new name; the directory exists")
        ],
        overwrite: Annotated[bool, Field(description="Replace a file at the destination")] = False,
    ) -> Moved:
        """Move or rename a file or directory in one step."""
        old, new = sandbox.locate(source), sandbox.locate(destination)
        tree.move(sandbox, old, new, overwrite=overwrite)
        return Moved(source=old.path, destination=new.path)

    @server.tool(title="Delete a file", annotations=_DESTROYS)
    def delete_file(path: FilePath) -> Deleted:
        """Delete a regular file. There is no way back."""
        place = sandbox.locate(path)
        tree.delete_file(sandbox, place)
        return Deleted(path=place.path)


def _decode(content: str, encoding: Literal["utf-8", "base64"]) -> bytes:
    """The bytes that `content` stands for.

    Raises:
        FileError: it is not base64, or has characters that no text file can hold.
    """
    try:
        return content.encode() if encoding == "utf-8" else base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FileError(f"the content is not valid {encoding}") from error
