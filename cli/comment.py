"""Post files as the one comment of a pull request on GitHub, or update the comment that was posted before.

`python3 -m cli.comment NAME FILE…`, in a GitHub workflow. It needs nothing but Python, so the job that may
write installs nothing. Markdown files (.md) are posted as they are; any other, which
is what a program printed, as code below its name, without the secrets in it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from infra.comparison.secret_texts import printed

LIMIT: Final = 65_536
"""Characters that GitHub takes."""
LEFT_OUT: Final = "… {} more characters, in the run's artifacts\n"
AUTHOR: Final = "github-actions[bot]"
"""Whose comments GITHUB_TOKEN writes; COMMENT_AUTHOR names another."""

_NOTE: Final = 64
"""Characters of `LEFT_OUT`, whatever its number."""
_ATTEMPTS: Final = 3
_TIMEOUT: Final = 30
_NEXT: Final = re.compile(r'<([^>]+)>;\s*rel="next"')
_TICKS: Final = re.compile(r"`{3,}")


class CommentError(Exception):
    """Why there is no comment."""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """Where comments go.

    Attributes:
        api: Such as `https://api.github.com`.
        repository: `OWNER/NAME`.
        number: The pull request's.
        token: Of GitHub, with the right to write comments.
    """

    api: str
    repository: str
    number: int
    token: str

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> PullRequest:
        """As GitHub describes it to a workflow's steps.

        Raises:
            CommentError: Something of it is not set, or the event is not a pull request's.
        """
        try:
            event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
            number = int(event["pull_request"]["number"])
            token, repository = environment["GITHUB_TOKEN"], environment["GITHUB_REPOSITORY"]
        except KeyError as error:
            raise CommentError(
                f"{error.args[0]} is not set: this runs in a workflow of a pull request"
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise CommentError(f"GITHUB_EVENT_PATH: {error}") from None
        api = environment.get("GITHUB_API_URL", "https://api.github.com").rstrip("/")
        return cls(api, repository, number, token)

    def post(self, name: str, text: str, author: str) -> str:
        """Update the comment of this name, or make it; return its address.

        Raises:
            CommentError: GitHub refuses, or is not reached.
        """
        marker = marker_of(name)
        body = {"body": f"{marker}\n{text}"}
        repository = f"{self.api}/repos/{quote(self.repository)}"
        for comment in self._comments(f"{repository}/issues/{self.number}/comments?per_page=100"):
            if str(comment["body"]).startswith(marker) and _login(comment) == author:
                url = f"{repository}/issues/comments/{comment['id']}"
                return str(self._call("PATCH", url, body)[0]["html_url"])
        return str(self._call("POST", f"{repository}/issues/{self.number}/comments", body)[0]["html_url"])

    def _comments(self, url: str) -> Iterator[dict[str, Any]]:
        while url:
            found, link = self._call("GET", url)
            yield from found
            following = _NEXT.search(link)
            url = following[1] if following else ""
            if url and urlsplit(url).netloc != urlsplit(self.api).netloc:
                raise CommentError(f"the next page is said to be at {url}, which is not {self.api}")

    def _call(self, method: str, url: str, body: Mapping[str, str] | None = None) -> tuple[Any, str]:
        """The answer's JSON, and its Link header. Making a comment is tried once, or there might be two."""
        attempts = 1 if method == "POST" else _ATTEMPTS
        for attempt in range(1, attempts + 1):
            try:
                request = self._request(method, url, body)
                with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 - checked there
                    return json.load(answer), answer.headers.get("Link") or ""
            except urllib.error.HTTPError as error:
                if error.code < 500 or attempt == attempts:  # noqa: PLR2004 - the server's own errors may pass
                    raise CommentError(f"{method} {url}: {error.code} {_said(error)}") from None
            except OSError as error:
                if attempt == attempts:
                    raise CommentError(f"{method} {url}: {error}") from None
            time.sleep(attempt)
        raise AssertionError("the last attempt returns or raises")

    def _request(self, method: str, url: str, body: Mapping[str, str] | None) -> urllib.request.Request:
        if not url.startswith(("https://", "http://")):
            raise CommentError(f"GITHUB_API_URL: {url} is not an address")
        return urllib.request.Request(  # noqa: S310 - checked above
            url,
            method=method,
            data=json.dumps(body).encode() if body else None,
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "User-Agent": "mcp-platform",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )


def _login(comment: Mapping[str, Any]) -> str:
    """Whose comment it is; "" where GitHub knows nobody any more."""
    return str((comment.get("user") or {}).get("login", ""))


def marker_of(name: str) -> str:
    """The line by which a comment is found again; it does not show."""
    return f"<!-- mcp-platform: {re.sub('[^A-Za-z0-9 _.-]', '', name)} -->"


def text_of(files: Sequence[Path], limit: int) -> str:
    """The files in at most `limit` characters: Markdown is whole or left out, code is cut to what is left."""
    pages = [file for file in files if file.suffix == ".md"]
    others = [file for file in files if file not in pages]
    texts = {file: file.read_text(encoding="utf-8", errors="replace") for file in [*pages, *others]}
    texts |= {file: printed(texts[file]) for file in others}
    notes = {file: f"{_name(file)}: {LEFT_OUT.format(len(text))}" for file, text in texts.items()}
    parts: list[str] = []
    left = limit - sum(len(note) + 1 for note in notes.values())
    for file, content in texts.items():
        part = content if file in pages else _code(_name(file), content, left)
        if len(part) + 1 > left:
            parts.append(notes[file])
        else:
            parts.append(part)
            left -= len(part) + 1
    return "\n".join(parts)


def _name(file: Path) -> str:
    """What a file is called, without what Markdown or HTML would be made of."""
    return re.sub(r"[^A-Za-z0-9 _.-]", "", file.stem)


def _code(title: str, content: str, left: int) -> str:
    """A text as a block of code that nothing in it ends; its last lines where not all fit."""
    fence = "`" * (1 + max((len(run) for run in _TICKS.findall(content)), default=2))
    frame = f"\n#### {title}\n\n{{}}{fence}text\n{{}}\n{fence}\n"
    room = max(1, left - len(frame) - _NOTE)
    note = LEFT_OUT.format(len(content) - room) + "\n" if len(content) > room else ""
    return frame.format(note, content[-room:].rstrip("\n"))


def _said(error: urllib.error.HTTPError) -> str:
    """GitHub's own words."""
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Post, and say where; 2 when that fails."""
    if len(arguments) < 2:  # noqa: PLR2004 - a name and a file
        print("usage: python3 -m cli.comment NAME FILE…", file=sys.stderr)
        return 2
    name, *files = arguments
    try:
        text = text_of([Path(file) for file in files], LIMIT - len(marker_of(name)) - 1)
        author = environment.get("COMMENT_AUTHOR", AUTHOR)
        print(PullRequest.of_environment(environment).post(name, text, author))
    except (CommentError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
