"""Ed25519 keys that sign locks, in PEM files, and the signatures: detached JWS (RFC 7515, RFC 7797)."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

ALGORITHM: Final = "EdDSA"
TYPE: Final = "mcp-lock+json"
"""Part of what is signed, so that a signature of something else is none of a lock."""
KEY_ID_DIGITS: Final = 16

_MAX_BYTES: Final = 64 * 1024
_jws: Final = jwt.PyJWS(algorithms=[ALGORITHM])


class PinKeyError(Exception):
    """A key file that can't be used; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key whose signatures count."""

    key: Ed25519PublicKey
    key_id: str

    @classmethod
    def of(cls, key: Ed25519PublicKey) -> "VerifyingKey":
        """The key, named by a digest of itself."""
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(key, hashlib.sha256(der).hexdigest()[:KEY_ID_DIGITS])

    @classmethod
    def parse(cls, data: bytes, source: str) -> "VerifyingKey":
        """Read PEM; `source` is what a message calls it.

        Raises:
            PinKeyError: it is no public Ed25519 key.
        """
        if b"PRIVATE KEY" in data:
            raise PinKeyError(f"{source}: must be the public key; whoever has the private one can sign")
        try:
            key = load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise PinKeyError(f"{source}: must be a public Ed25519 key in PEM form")
        return cls.of(key)

    @classmethod
    def read(cls, path: Path) -> "VerifyingKey":
        """Read a PEM file.

        Raises:
            PinKeyError: it can't be read, or isn't one of a public Ed25519 key.
        """
        return cls.parse(_content(path), str(path))

    def verifies(self, signature: str, content: bytes) -> bool:
        """Whether this key signed the content."""
        try:
            found = _jws.decode_complete(
                signature, self.key, algorithms=[ALGORITHM], detached_payload=content
            )
        except (jwt.PyJWTError, ValueError):
            return False
        return found["header"].get("typ") == TYPE and found["header"].get("kid") == self.key_id

    def pem(self) -> bytes:
        """The key as PEM."""
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key."""

    key: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, path: Path) -> "SigningKey":
        """Read a PEM file.

        Raises:
            PinKeyError: it can't be read, others may read it, or it isn't one of a private Ed25519 key.
        """
        content = _content(path)
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise PinKeyError(f"{path}: others may read or write it; chmod 600 {path}")
        try:
            key = load_pem_private_key(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise PinKeyError(f"{path}: must be a private Ed25519 key in PEM form, without a password")
        return cls(key)

    def write(self, path: Path) -> None:
        """Write a file that nobody else can read.

        Raises:
            PinKeyError: there is one already, or it can't be written.
        """
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(pem)
        except OSError as error:
            raise PinKeyError(f"{path}: {error.strerror}") from None

    @property
    def public(self) -> VerifyingKey:
        """Its other half."""
        return VerifyingKey.of(self.key.public_key())

    def sign(self, content: bytes) -> str:
        """The signature of the content, which isn't part of it."""
        headers = {"typ": TYPE, "kid": self.public.key_id}
        return _jws.encode(content, self.key, ALGORITHM, headers=headers, is_payload_detached=True)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES)
    except OSError as error:
        raise PinKeyError(f"{path}: {error.strerror}") from None
