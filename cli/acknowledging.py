"""Who said that something may be lost: on the command line, or in a pull request on GitHub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from infra.comparison.protection import Acknowledgement, acknowledgement
from infra.errors import PlatformError

PREFIX: Final = "acknowledge:"
_HIDDEN: Final = re.compile(r"<!--.*?(?:-->|\Z)|^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
"""Comments and blocks of code, which a template may hold an example in."""


def given(options: Iterable[str], event: Path | None) -> list[Acknowledgement]:
    """All acknowledgements.

    Args:
        options: KIND/NAME, each.
        event: GitHub's file about the event, of which a pull request's text and labels are read.

    Raises:
        PlatformError: One has not the form, or the file is not GitHub's.
    """
    found = [acknowledgement(text, "--acknowledge") for text in options]
    return [*found, *_of_event(event)] if event else found


def _of_event(file: Path) -> Iterator[Acknowledgement]:
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlatformError(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise PlatformError(f"{file}: is not JSON: {error}") from None
    request = content.get("pull_request") if isinstance(content, dict) else None
    if not isinstance(request, dict):
        raise PlatformError(
            f"{file}: tells of no pull request", hint="GITHUB_EVENT_PATH names the file in a workflow"
        )
    for line in _HIDDEN.sub("", request.get("body") or "").splitlines():
        yield from _read(line, "the pull request's text")
    for label in request.get("labels") or ():
        yield from _read(str(label.get("name", "")), "a label")


def _read(text: str, origin: str) -> Iterator[Acknowledgement]:
    """A text that acknowledges; what only looks like it is told by the one who is asked to read it."""
    if text.strip().lower().startswith(PREFIX):
        yield Acknowledgement(text.strip()[len(PREFIX) :].strip().strip("`"), origin)
