"""The filesystem server put together: its tools and resources over one sandbox."""

import asyncio
import os

from services.kit.health import Health
from services.kit.settings import SettingsError
from services.servers.filesystem.names import Root
from services.servers.filesystem.read_tools import add_read_tools
from services.servers.filesystem.resources import add_resources
from services.servers.filesystem.sandbox import Sandbox
from services.servers.filesystem.settings import FilesystemSettings
from services.servers.filesystem.write_tools import add_write_tools
from services.servers.kit import ToolServer

_INSTRUCTIONS = (
    "Read{write} and search files in these folders: {folders}. Paths are absolute{relative}; '..' and links "
    "that lead outside are refused. Names are literal: nothing in them is decoded or expanded."
)


def build(settings: FilesystemSettings, health: Health) -> ToolServer:
    """Make the server for the folders in `settings`; in read-only mode it has no tool that changes anything.

    Raises:
        SettingsError: a folder can't be opened.
    """
    sandbox = _open(settings)
    server = ToolServer("filesystem", settings, title="Files", instructions=_instructions(settings))
    server.on_close(sandbox.close)
    add_read_tools(server, sandbox, settings)
    add_resources(server, sandbox, settings)
    if not settings.filesystem_read_only:
        add_write_tools(server, sandbox, settings)
    for root in sandbox.roots:
        health.add_check(root.path, lambda root=root: _readable(root))
    return server


def body_bytes(settings: FilesystemSettings) -> int:
    """The largest request body: the largest file in base64 or ordinary JSON text, and room for the rest."""
    return 2 * settings.filesystem_max_file_bytes + 1024 * 1024


def _open(settings: FilesystemSettings) -> Sandbox:
    try:
        return Sandbox(settings.filesystem_roots, allow_hard_links=settings.filesystem_allow_hard_links)
    except OSError as error:
        raise SettingsError(
            f"environment variable FILESYSTEM_ROOTS: can't open {error.filename}: {error.strerror}"
        ) from error


def _instructions(settings: FilesystemSettings) -> str:
    folders = settings.filesystem_roots
    return _INSTRUCTIONS.format(
        write="" if settings.filesystem_read_only else ", write",
        folders=", ".join(folders),
        relative=f" or relative to {folders[0]}" if len(folders) == 1 else "",
    )


async def _readable(root: Root) -> str | None:
    """A readiness check: the folder still answers (a lost network disk does not)."""
    try:
        await asyncio.to_thread(lambda: os.close(os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=root.fd)))
    except OSError as error:
        return error.strerror or str(error)
    return None
