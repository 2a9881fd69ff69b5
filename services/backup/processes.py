"""Programs of the stores' own, whose output is a stream. Passwords reach them by their environment alone."""

import os
import subprocess
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final

from services.backup.errors import BackupError

CHUNK_BYTES: Final = 1024 * 1024
END_SECONDS: Final = 20.0

_MOST_BYTES: Final = 1000


@dataclass(frozen=True)
class Running:
    """A program and what it complains of."""

    name: str
    process: subprocess.Popen[bytes]
    complaints: IO[bytes]

    def finish(self) -> None:
        """Wait for its end.

        Raises:
            BackupError: It failed.
        """
        if self.process.wait() != 0:
            raise BackupError(f"{self.name}: {self.said() or f'status {self.process.returncode}'}")

    def said(self) -> str:
        """What it complains of, in one line."""
        size = self.complaints.seek(0, os.SEEK_END)
        self.complaints.seek(max(0, size - _MOST_BYTES))
        return " ".join(self.complaints.read().decode(errors="replace").split())


@contextmanager
def running(
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
) -> Generator[Running]:
    """A program that is gone when the block is. What nobody wants of it is taken for complaints.

    Raises:
        BackupError: There is no such program.
    """
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                command,
                env={**os.environ, **env},
                stdin=stdin,
                stdout=stdout or complaints,
                stderr=complaints,
            )
        except OSError as error:
            raise BackupError(f"{command[0]}: {error.strerror}") from None
        try:
            yield Running(command[0], process, complaints)
        finally:
            _end(process)


def output(command: Sequence[str], env: Mapping[str, str]) -> Iterator[bytes]:
    """What a program writes; ends only if the program succeeds.

    Raises:
        BackupError: It fails.
    """
    with running(command, env, stdout=subprocess.PIPE) as program:
        stream = program.process.stdout
        assert stream is not None  # noqa: S101 - asked for above
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk
        program.finish()


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
