"""What the direct way keeps of a stack on Docker: the Compose file, what it mounts, what was made once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.cluster.processes import locked
from infra.cluster.report import Report
from infra.cluster.spec import home
from infra.engine.compose.document import CONFIG_FOLDER, SECRET_FOLDER, Document, File
from infra.engine.generated import Values
from infra.errors import PlatformError
from services.kit.conventions import RUN_AS_USER

COMPOSE_FILE: Final = "compose.yaml"
MISSING_FILE: Final = "MISSING.txt"
_VALUES: Final = "values.json"
_PRIVATE_FOLDER: Final = 0o700
_PRIVATE: Final = 0o600
_READABLE: Final = 0o644


@dataclass(frozen=True, slots=True)
class State:
    """One stack's folder, which nobody else may enter."""

    folder: Path

    @classmethod
    def of(cls, stack: str) -> State:
        """The folder of a stack; it may not be there yet."""
        return cls(home() / "docker" / stack)

    @property
    def compose_file(self) -> Path:
        """What is deployed."""
        return self.folder / COMPOSE_FILE

    @contextmanager
    def alone(self, report: Report) -> Generator[None]:
        """Nobody else deploys this stack from this machine.

        Raises:
            PlatformError: The folder can't be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_FOLDER)
        except PermissionError:
            raise PlatformError(
                f"{self.folder} can't be made",
                hint="run as root, or set MCP_PLATFORM_HOME to a folder of your own",
            ) from None
        self.folder.chmod(_PRIVATE_FOLDER)
        with locked(self.folder / "lock", report, "another deployment of the stack"):
            yield

    def values(self) -> Values | None:
        """Passwords and keys that were made before; None where there are none.

        Raises:
            PlatformError: They can't be read.
        """
        try:
            return json.loads((self.folder / _VALUES).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except PermissionError:
            raise PlatformError(
                f"{self.folder / _VALUES} can't be read",
                hint="it belongs to who ran `mcpctl up`: be that user",
            ) from None

    def store(self, values: Values) -> None:
        """Keep passwords and keys."""
        _write(self.folder / _VALUES, json.dumps(values, sort_keys=True), _PRIVATE)

    def write(self, found: Document) -> None:
        """Make the folder hold a stack's Compose file and all that it mounts."""
        for file in found.all_files:
            write_file(self.folder, file)
        _write(self.compose_file, found.text, _PRIVATE)
        keep = {self.folder / file.source for file in found.all_files}
        for path in _below(self.folder, CONFIG_FOLDER, SECRET_FOLDER):
            if path not in keep:
                path.unlink()

    def forget(self) -> None:
        """Remove all of it, secrets too."""
        shutil.rmtree(self.folder, ignore_errors=True)


def render(found: Document, folder: Path) -> list[str]:
    """Write the Compose file and what it mounts, without secrets; MISSING.txt lists those.

    Returns:
        Where the secrets belong.

    Raises:
        PlatformError: The folder holds something else.
    """
    names = {COMPOSE_FILE, MISSING_FILE, CONFIG_FOLDER, SECRET_FOLDER}
    strange = sorted({path.name for path in folder.iterdir()} - names) if folder.is_dir() else []
    if strange:
        raise PlatformError(
            f"{folder} holds {strange[0]}, which is not a rendered file",
            hint="choose an empty or new folder with -o",
        )
    plain = [file for file in found.all_files if not file.secret]
    secret = [file.source for file in found.all_files if file.secret]
    for path in _below(folder, CONFIG_FOLDER):
        path.unlink()
    for file in plain:
        write_file(folder, file)
    _write(folder / COMPOSE_FILE, found.text, _READABLE)
    _write(folder / MISSING_FILE, "".join(f"{line}\n" for line in secret), _READABLE)
    return secret


def write_file(folder: Path, file: File) -> None:
    """Write one file where the Compose file looks for it.

    Containers read as a user of their own. Who is root gives them the secrets; for anybody else, the folder
    around keeps other users out of files that are readable.

    Raises:
        PlatformError: Its content is not known.
    """
    if file.content is None:
        raise PlatformError(f"{file.source}: what it holds is only known after a deployment by Pulumi")
    root = os.geteuid() == 0
    _write(folder / file.source, file.content, _PRIVATE if file.secret and root else _READABLE)
    if file.secret and root:
        os.chown(folder / file.source, RUN_AS_USER, RUN_AS_USER)


def _write(path: Path, text: str, mode: int) -> None:
    """Whole or not at all, never readable for more than it should be, and only where it differs."""
    if path.is_file() and path.stat().st_mode & 0o777 == mode and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
    new.chmod(mode)
    new.replace(path)


def _below(folder: Path, *names: str) -> Iterable[Path]:
    return [path for name in names for path in (folder / name).rglob("*") if not path.is_dir()]
