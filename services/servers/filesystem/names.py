"""From the path a caller wrote to a place below an allowed folder, by its text alone (no disk is touched).

Rules, in this order:

1. Empty names, NUL, text that is not valid Unicode and any `..` component are refused. Nothing is decoded or
   expanded: `%2e%2e`, `~` and `$HOME` are ordinary names.
2. An absolute path must be an allowed folder or lie below one, component by component (`/data-evil` is not in
   `/data`). Where folders nest, the innermost one is used.
3. A relative path starts at the allowed folder when there is exactly one. With several it would be ambiguous
   and is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from services.servers.filesystem.errors import RefusedError

MAX_PATH_BYTES: Final = 4095
"""PATH_MAX without its terminating NUL."""


@dataclass(frozen=True, slots=True)
class Root:
    """An allowed folder: the absolute path that callers use for it, and its open directory."""

    path: str
    fd: int

    @property
    def parts(self) -> tuple[str, ...]:
        """The components of `path`; none for `/`."""
        return _components(self.path)


@dataclass(frozen=True, slots=True)
class Location:
    """A place below (or at) an allowed folder; `parts` holds neither `.` nor `..`."""

    root: Root
    parts: tuple[str, ...]

    @property
    def relative(self) -> str:
        """The path from the root's directory, `.` for the root itself."""
        return "/".join(self.parts) or "."

    @property
    def path(self) -> str:
        """The absolute path, as callers know it."""
        return "/" + "/".join(self.root.parts + self.parts)

    @property
    def name(self) -> str:
        """The last component; empty for the root itself."""
        return self.parts[-1] if self.parts else ""

    @property
    def parent(self) -> Self:
        """The directory that holds this place; the root is its own parent."""
        return type(self)(self.root, self.parts[:-1])

    def child(self, *names: str) -> Self:
        """The place `names` further down."""
        return type(self)(self.root, (*self.parts, *names))


def locate(path: str, roots: Sequence[Root]) -> Location:
    """Find the place that `path` names.

    Raises:
        RefusedError: `path` breaks one of the rules above.
    """
    parts = checked_components(path)
    if not path.startswith("/"):
        if len(roots) > 1:
            folders = ", ".join(root.path for root in roots)
            raise RefusedError(
                f"{path!r} is relative, but several folders are allowed: start it with one of {folders}"
            )
        return Location(roots[0], parts)
    holders = [root for root in roots if parts[: len(root.parts)] == root.parts]
    if not holders:
        raise RefusedError(f"{path!r} is outside the allowed folders")
    innermost = max(holders, key=lambda root: len(root.parts))
    return Location(innermost, parts[len(innermost.parts) :])


def checked_components(path: str) -> tuple[str, ...]:
    """Split `path` at slashes, dropping empty and `.` components.

    Raises:
        RefusedError: rule 1, or the path is longer than any that a system call takes.
    """
    if not path:
        raise RefusedError("the path is empty")
    if "\0" in path:
        raise RefusedError(f"{path!r} contains a NUL character")
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        raise RefusedError(f"{path!r} is not valid Unicode text") from None
    if len(encoded) > MAX_PATH_BYTES:
        raise RefusedError(f"the path has {len(encoded)} bytes; {MAX_PATH_BYTES} are allowed")
    parts = _components(path)
    if ".." in parts:
        raise RefusedError(f"{path!r} contains '..', which is not followed")
    return parts


def _components(path: str) -> tuple[str, ...]:
    """Split at slashes; `a//./b/` and `a/b` are the same."""
    return tuple(part for part in path.split("/") if part not in {"", "."})
