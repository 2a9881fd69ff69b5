"""Every mcpctl command line in the documents is one that mcpctl takes."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest
import typer

from cli.app import app
from tests.cli.documented import REPOSITORY, Documented, commands, documents

DOCUMENTED = [
    command
    for path in documents()
    for command in commands(path.read_text(), str(path.relative_to(REPOSITORY)))
]


def nothing(**_: object) -> None:
    """What every command does here."""


def does_nothing(command: Any) -> Any:
    """The command line's whole parser, with nothing behind it."""
    command.callback = nothing
    for child in getattr(command, "commands", {}).values():
        does_nothing(child)
    return command


MCPCTL = does_nothing(typer.main.get_command(app))


def complaint(command: Documented) -> str:
    """What mcpctl has against it; "" for nothing. In a sentence, `mcpctl call` may stand for every call."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            MCPCTL.main(args=list(command.words), prog_name="mcpctl")
        except SystemExit as ended:
            if not ended.code:
                return ""
    text = " ".join(said.getvalue().split())
    return "" if not command.whole and "Missing" in text else text or "a command is missing"


@pytest.mark.parametrize("command", DOCUMENTED, ids=str)
def test_a_documented_command_is_taken(command: Documented) -> None:
    assert complaint(command) == ""


def test_the_documents_are_read() -> None:
    files = {command.file for command in DOCUMENTED}
    assert {"README.md", "docs/guides/production.md", "docs/guides/policies.md"} <= files
    assert len(DOCUMENTED) > 60


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```sh\nmcpctl up --stack prod\n```\n", ""),
        ("```sh\nmcpctl uo\n```\n", "No such command"),
        ("```sh\nmcpctl up --stak prod\n```\n", "No such option: --stak"),
        ("```sh\nmcpctl preview \\\n  --stak prod | less\n```\n", "No such option: --stak"),
        ("```sh\nmcpctl up --engine helm\n```\n", "is not one of"),
        ("```sh\nmcpctl render --stack prod\n```\n", "Missing option"),
        ("```sh\nmcpctl policy\n```\n", "a command is missing"),
        ("```sh\nmcpctl status prod\n```\n", "unexpected extra argument"),
        ("`mcpctl render`", ""),
        ("`mcpctl policy list|explane [--json]`", "No such command 'explane'"),
        ("`mcpctl down --pruge`", "No such option: --pruge"),
    ],
)
def test_what_is_wrong_is_found(text: str, said: str) -> None:
    found = [complaint(command) for command in commands(text)]
    assert said in found[-1] if said else set(found) == {""}, found
