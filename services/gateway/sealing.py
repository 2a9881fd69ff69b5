"""Seals what callers keep for us between two requests: they can neither read nor change it.

AES-256-GCM. The first key seals and all of them open, so a key is replaced by adding the new one everywhere,
then putting it first, then dropping the old one.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MIN_SECRET_BYTES: Final = 32
MIN_DIFFERENT_BYTES: Final = 10
"""Fewer are a placeholder, not a secret."""

_PURPOSE: Final = b"mcp-gateway state 1"
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12


class StateKeyError(Exception):
    """A key file that can't be used; the message names the file."""


class SealError(Exception):
    """What was handed back isn't what was sealed, or not with a key of ours, or not in this context."""


class Sealer:
    """Seals and opens with a row of keys."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys` are secrets of any length, at least one."""
        self._ciphers = {hashlib.sha256(_PURPOSE + key).digest()[:_ID_BYTES]: _cipher(key) for key in keys}
        self._id = next(iter(self._ciphers))

    @classmethod
    def from_files(cls, files: Sequence[Path]) -> "Sealer":
        """Read the keys; without files, one is made that nobody else has.

        Raises:
            StateKeyError: a file can't be read or holds no good secret.
        """
        return cls([_read(file) for file in files] or [secrets.token_bytes(_KEY_BYTES)])

    def seal(self, content: bytes, context: bytes) -> str:
        """`content` as text that opens in the same `context` only."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._id].encrypt(nonce, content, context)
        return base64.urlsafe_b64encode(self._id + nonce + sealed).decode()

    def open(self, text: str, context: bytes) -> bytes:
        """What was sealed.

        Raises:
            SealError: nothing was, so.
        """
        try:
            data = base64.b64decode(text, altchars=b"-_", validate=True)
            cipher = self._ciphers[data[:_ID_BYTES]]
            nonce, sealed = data[_ID_BYTES : _ID_BYTES + _NONCE_BYTES], data[_ID_BYTES + _NONCE_BYTES :]
            return cipher.decrypt(nonce, sealed, context)
        except (binascii.Error, ValueError, KeyError, InvalidTag):
            raise SealError from None


def _cipher(key: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), length=_KEY_BYTES, salt=None, info=_PURPOSE).derive(key))


def _read(file: Path) -> bytes:
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise StateKeyError(f"state key file {file}: {error.strerror}") from None
    if len(secret) < MIN_SECRET_BYTES or len(set(secret)) < MIN_DIFFERENT_BYTES:
        raise StateKeyError(
            f"state key file {file}: must hold a random secret of at least {MIN_SECRET_BYTES} characters"
        )
    return secret
