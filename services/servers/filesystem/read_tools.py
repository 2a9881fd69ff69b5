"""The tools that change nothing."""

from typing import Annotated, Literal

from mcp_types import BlobResourceContents, CallToolResult, ContentBlock, EmbeddedResource, TextContent
from pydantic import Field

from services.servers.filesystem import listing
from services.servers.filesystem.patterns import MAX_PATTERN, Pattern
from services.servers.filesystem.reading import read_piece, represent
from services.servers.filesystem.resources import allowed, uri_of
from services.servers.filesystem.results import (
    AllowedDirectories,
    FileContent,
    FileInfo,
    Listing,
    SearchResult,
)
from services.servers.filesystem.sandbox import Sandbox
from services.servers.filesystem.searching import Bounds, Search
from services.servers.filesystem.settings import FilesystemSettings
from services.servers.kit import READ_ONLY, ToolServer

FilePath = Annotated[
    str, Field(description="Absolute path, or relative to the allowed folder where there is only one")
]
FolderPath = Annotated[str, Field(description="Path of a directory, absolute or relative as for files")]
Limit = Annotated[
    int, Field(ge=1, description="The most entries to return; the server may have a lower limit")
]


def add_read_tools(server: ToolServer, sandbox: Sandbox, settings: FilesystemSettings) -> None:
    """Give `server` the tools that read from `sandbox`."""

    @server.tool(title="Read a file", annotations=READ_ONLY)
    def read_file(
        path: FilePath,
        offset: Annotated[int, Field(ge=0, description="Bytes to skip")] = 0,
        limit: Annotated[
            int | None, Field(ge=1, description="The most bytes to read; all when not given")
        ] = None,
        encoding: Annotated[
            Literal["auto", "utf-8", "base64"],
            Field(
                description="How to represent the bytes; auto is text where it is valid UTF-8, else base64"
            ),
        ] = "auto",
    ) -> Annotated[CallToolResult, FileContent]:
        """Read a file or a piece of one, as text or (binary) as base64."""
        place = sandbox.locate(path)
        piece = read_piece(sandbox, place, offset=offset, limit=limit, most=settings.most_read_bytes)
        found = represent(place, piece, encoding)
        return CallToolResult(
            content=[_block(found, uri_of(place))], structured_content=found.model_dump(mode="json")
        )

    @server.tool(title="List a directory", annotations=READ_ONLY)
    def list_directory(
        path: FolderPath,
        after: Annotated[
            str, Field(description="Start behind this name: `next_after` of the page before")
        ] = "",
        limit: Limit = 1000,
    ) -> Listing:
        """List names, types, sizes and ages in a directory, sorted by name. Links are shown, not followed."""
        most = min(limit, settings.filesystem_max_results)
        return listing.list_directory(sandbox, sandbox.locate(path), after=after, limit=most)

    @server.tool(title="Search for files", annotations=READ_ONLY)
    def search_files(
        path: FolderPath,
        pattern: Annotated[
            str,
            Field(
                min_length=1,
                max_length=MAX_PATTERN,
                description="Glob: `*.py` at any depth, or from the directory on, such as `src/**/test_*.py`",
            ),
        ],
        content: Annotated[
            str, Field(max_length=MAX_PATTERN, description="Only files that contain this text, exactly")
        ] = "",
        limit: Limit = 100,
    ) -> SearchResult:
        """Find files and directories by name and, if wanted, files by content. Does not follow links."""
        bounds = Bounds(
            results=min(limit, settings.filesystem_max_results),
            entries=settings.filesystem_search_entries,
            seconds=settings.filesystem_search_seconds,
            file_bytes=settings.filesystem_max_file_bytes,
        )
        return Search(sandbox, sandbox.locate(path), Pattern(pattern), content.encode(), bounds).run()

    @server.tool(title="Describe a file or directory", annotations=READ_ONLY)
    def get_file_info(path: FilePath) -> FileInfo:
        """Tell type, size, age and permissions of a file or directory."""
        return listing.info(sandbox, sandbox.locate(path))

    @server.tool(title="List the allowed folders", annotations=READ_ONLY)
    async def list_allowed_directories() -> AllowedDirectories:
        """Tell which folders this server serves, whether it may write, and how large files may be."""
        return allowed(settings)


def _block(found: FileContent, uri: str) -> ContentBlock:
    """What clients that don't read structured output see: the bare text, or an embedded binary."""
    if found.encoding == "utf-8":
        return TextContent(text=found.content)
    return EmbeddedResource(
        resource=BlobResourceContents(uri=uri, mime_type=found.mime_type, blob=found.content)
    )
