"""The commands that the README tells users to type."""

from __future__ import annotations

import re
import shlex

from tests.end_to_end.checkout import REPOSITORY

NOT_RUN = {"down", "render"}
"""`down` ends the platform that other tests use; `render` writes into the checkout, and has its own tests."""


def mcpctl_commands() -> list[list[str]]:
    """The words after `mcpctl` in the README's shell blocks, without comments and `--follow`."""
    text = (REPOSITORY / "README.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    commands = [words[1:] for words in lines if words[:1] == ["mcpctl"]]
    return [[word for word in words if word != "--follow"] for words in commands if words[0] not in NOT_RUN]
