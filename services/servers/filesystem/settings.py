"""What the filesystem server reads from the environment, beyond what every server does."""

import os
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from services.servers.kit import ServerSettings


def _split_colons(value: object) -> object:
    if isinstance(value, str):
        return tuple(part for part in value.split(":") if part)
    return value


def _check_roots(roots: tuple[str, ...]) -> tuple[str, ...]:
    """Folders by the names that callers will use for them: absolute, without `.`, `..` or doubled slashes."""
    if not roots:
        raise ValueError("must name at least one folder")
    for root in roots:
        if not root.startswith("/") or os.path.normpath(root) != root.rstrip("/"):
            raise ValueError(
                f"folders must be absolute paths without '..', not {root!r} (and never '/' itself)"
            )
    tidy = tuple(root.rstrip("/") for root in roots)
    if len(set(tidy)) < len(tidy):
        raise ValueError("names a folder twice")
    return tidy


class FilesystemSettings(ServerSettings):
    """Variables are the fields' names in capitals."""

    filesystem_roots: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(_split_colons), AfterValidator(_check_roots)
    ] = ("/data",)
    """The allowed folders, separated by colons. They must exist when the server starts."""

    filesystem_read_only: bool = False
    """Leave out every tool that changes something."""

    filesystem_max_file_bytes: Annotated[int, Field(ge=1, le=1 << 30)] = 10 * 1024 * 1024
    """The largest file that is written, or looked into by a search."""

    filesystem_max_read_bytes: Annotated[int, Field(ge=1, le=1 << 30)] = 1024 * 1024
    """The most that one answer holds of a file, which may be larger and read in pieces. An answer takes
    about 15 times its size in memory while it is made, and the gateway forwards none that is too large."""

    filesystem_max_results: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """The most entries or matches in one answer."""

    filesystem_search_entries: Annotated[int, Field(ge=1)] = 100_000
    """How many files and directories one search looks at."""

    filesystem_search_seconds: Annotated[float, Field(gt=0)] = 10.0
    """How long one search takes before it answers with what it has."""

    filesystem_allow_hard_links: bool = False
    """Serve the contents of files with several hard links, of which one may be outside the folders."""

    @property
    def most_read_bytes(self) -> int:
        """The most that one answer holds of a file."""
        return min(self.filesystem_max_read_bytes, self.filesystem_max_file_bytes)
