"""Roles: who logs in to Postgres. A password reaches it as its verifier only, so no log can hold it."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

_ITERATIONS: Final = 4096
"""What Postgres itself uses; its passwords here are random and long."""
_SALT_BYTES: Final = 16


@dataclass(frozen=True)
class Role:
    """A role and what it may do.

    Attributes:
        name: Its name in SQL.
        password: What it logs in with; None for a role that somebody else makes.
        grants: Statements that give it its rights.
    """

    name: str
    password: str | None
    grants: Sequence[str]


async def ensure_role(connection: asyncpg.Connection, role: Role) -> None:
    """Make `role` one that can log in, with its password and its rights.

    Raises:
        asyncpg.PostgresError: we may not, or there is no such role.
    """
    if role.password is not None:
        exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role.name)
        verb = "ALTER" if exists else "CREATE"
        await connection.execute(f"{verb} ROLE {role.name} LOGIN PASSWORD '{scram_verifier(role.password)}'")
    for grant in role.grants:
        await connection.execute(grant)


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """What Postgres stores of a password (RFC 5803)."""
    salt = salt or secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${_ITERATIONS}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
