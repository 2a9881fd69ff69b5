"""What the tools answer: the structured output that clients see. Times are UTC, sizes bytes."""

import os
import stat
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

EntryType = Literal["file", "directory", "symlink", "other"]
Encoding = Literal["utf-8", "base64"]


class FileContent(BaseModel):
    """A file or a piece of one."""

    path: str
    content: str
    encoding: Annotated[Encoding, Field(description="How `content` represents the file's bytes")]
    size: Annotated[int, Field(description="Bytes of the whole file")]
    offset: Annotated[int, Field(description="Where in the file this piece begins, in bytes")]
    length: Annotated[int, Field(description="Bytes of this piece")]
    next_offset: Annotated[int | None, Field(description="Where to go on reading; null at the end")]
    mime_type: str


class Written(BaseModel):
    """A file after a write."""

    path: str
    size: Annotated[int, Field(description="Bytes of the whole file")]
    created: Annotated[bool, Field(description="Whether the file was not there before")]


class Entry(BaseModel):
    """One name in a directory. Links are shown as such and not followed."""

    name: str
    type: EntryType
    size: int
    modified: datetime


class Listing(BaseModel):
    """Names in a directory, sorted."""

    path: str
    entries: list[Entry]
    next_after: Annotated[str | None, Field(description="Pass as `after` for the next page; null at the end")]
    not_shown: Annotated[int, Field(description="Entries left out because their names are not valid UTF-8")]


class Match(BaseModel):
    """A file or directory that a search found."""

    path: str
    type: EntryType
    size: int
    line: Annotated[int | None, Field(description="Line of the first occurrence of the content looked for")]
    text: Annotated[str | None, Field(description="That line, shortened")]


class SearchResult(BaseModel):
    """What a search found, nearest to its start first."""

    matches: list[Match]
    stopped_by: Annotated[
        Literal["results", "entries", "time"] | None,
        Field(description="The bound that ended the search early; null when it is complete"),
    ]
    scanned: Annotated[int, Field(description="Files and directories looked at")]
    skipped: Annotated[int, Field(description="Of those: unreadable, or too large to look into")]


class Moved(BaseModel):
    """A finished move."""

    source: str
    destination: str


class FileInfo(BaseModel):
    """Metadata of a file or directory; of a link's target where the link stays inside."""

    path: str
    type: EntryType
    size: int
    modified: datetime
    mode: Annotated[str, Field(description="Permissions in octal, such as 0644")]
    hard_links: int
    mime_type: str | None


class DirectoryCreated(BaseModel):
    """A directory that now exists."""

    path: str
    created: Annotated[bool, Field(description="False when it already existed")]


class Deleted(BaseModel):
    """A file that is gone."""

    path: str


class AllowedDirectories(BaseModel):
    """The folders that this server serves, and how."""

    directories: list[str]
    read_only: bool
    max_file_bytes: Annotated[int, Field(description="The largest file that can be written")]
    max_read_bytes: Annotated[int, Field(description="The most that one read answers with")]


def entry_type(mode: int) -> EntryType:
    """The kind of file that `st_mode` tells of."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "other"


def modified(found: os.stat_result) -> datetime:
    """When the contents last changed."""
    return datetime.fromtimestamp(found.st_mtime, UTC)
