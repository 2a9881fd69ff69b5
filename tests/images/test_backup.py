"""The image of backups has the stores' programs, and each runs as nobody on a read-only root."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.images.oci import Container, Root

pytestmark = pytest.mark.images


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["pg_dump", "--version"], "pg_dump (PostgreSQL) 17"),
        (["pg_restore", "--version"], "pg_restore (PostgreSQL) 17"),
        (["psql", "--version"], "psql (PostgreSQL) 17"),
        (["valkey-server", "--version"], "Valkey server v=8"),
        (["/opt/venv/bin/python", "-m", "services.backup", "--help"], "restore what BACKUP_AT says"),
    ],
    ids=("pg_dump", "pg_restore", "psql", "valkey-server", "services.backup"),
)
def test_its_programs_run(container: Callable[..., Container], command: list[str], says: str) -> None:
    run = container("backup")
    run.root = Root(run.root.path, {**run.root.config, "Entrypoint": ["/usr/bin/env"]})
    run.args = command
    run.start()
    run.wait()
    assert says in run.log
