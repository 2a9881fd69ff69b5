"""What a program printed, without secrets, for those who read a pull request and its artifacts.

`python -m cli.printed < TEXT > TEXT`, in the folder of the stacks. Besides what looks like a secret it knows
those that are called so in the stacks' files and in the environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import yaml

from infra.comparison.secret_texts import is_secret_name, printed

_FOLDERS: Final = {"PWD", "OLDPWD"}
"""Where a shell is and was."""


def known_secrets(folder: Path, environment: Mapping[str, str]) -> set[str]:
    """The values of settings and variables that are called password, token and the like."""
    named = {name for name in environment if is_secret_name(name)} - _FOLDERS
    found = {environment[name] for name in named}
    for file in folder.glob("Pulumi.*.yaml"):
        try:
            found.update(_named(yaml.safe_load(file.read_text(encoding="utf-8")), named=False))
        except (OSError, ValueError, yaml.YAMLError):
            continue  # it is what the text complains about: nothing was read from it
    return found


def _named(value: Any, *, named: bool) -> Iterator[str]:  # noqa: ANN401 - what a file holds
    """The texts below keys that are called so; the name of a Secret, beside its key, is none."""
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[Any, Any]", value).items():
            name = str(key).rpartition(":")[2]
            yield from _named(item, named=is_secret_name(name) or (named and name not in {"name", "key"}))
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _named(item, named=named)
    elif named and isinstance(value, str | int) and not isinstance(value, bool):
        yield str(value)


def main() -> None:
    """Filter standard input."""
    text = sys.stdin.buffer.read().decode(errors="replace")
    sys.stdout.write(printed(text, known_secrets(Path(), os.environ)))


if __name__ == "__main__":
    main()
