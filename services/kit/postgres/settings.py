"""Where Postgres is and who we are there."""

import ssl
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from services.kit.settings import Port

Identifier = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
"""A name in SQL that needs no quotes."""


class PostgresSettings(BaseModel):
    """One database, one role."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, Field(min_length=1)]
    port: Port = 5432
    database: Annotated[str, Field(min_length=1, max_length=63)]
    user: Identifier
    password_file: Path | None = None
    """Read anew for every connection."""
    tls: bool = False
    """Encrypted, and the certificate checked, name included."""
    ca_file: Path | None = None
    """Authorities that the certificate is checked against; the system's when left out."""
    connections: Annotated[int, Field(ge=1, le=1000)] = 10
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 5
    """For connecting, and for each piece of work, the wait for a free connection included."""


def connect_arguments(settings: PostgresSettings, application: str) -> dict[str, Any]:
    """What asyncpg needs to know; `application` is what `pg_stat_activity` shows."""
    milliseconds = str(int(settings.timeout_seconds * 1000))
    file = settings.password_file
    return {
        "host": settings.host,
        "port": settings.port,
        "database": settings.database,
        "user": settings.user,
        "password": None if file is None else lambda: read_secret(file),
        "ssl": _tls(settings),
        "timeout": settings.timeout_seconds,
        "server_settings": {
            "application_name": application,
            # Work that we don't wait for any longer must not go on there.
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
        },
    }


def read_secret(file: Path) -> str:
    """A file's content without the line's end."""
    return file.read_text(encoding="utf-8").strip("\r\n")


def _tls(settings: PostgresSettings) -> ssl.SSLContext | str:
    """The driver's own default would take what it gets."""
    if not settings.tls:
        return "disable"
    return ssl.create_default_context(cafile=settings.ca_file)
