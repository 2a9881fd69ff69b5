"""Public keys of issuers, each with the one algorithm that it may verify."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

MIN_RSA_BITS: Final = 2048
MAX_KEYS: Final = 20
"""Of one set. Without a key id in the token each of them is tried, so there must be a bound."""
LONGEST_KEY_ID: Final = 256
ALGORITHMS: Final = frozenset({"ES256", "RS256", "EdDSA"})
KEY_RULE: Final = f"must be EC P-256, RSA of {MIN_RSA_BITS} bits or more or Ed25519"

PublicKey = EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey


class KeyFileError(Exception):
    """A public key file that can't be used; the message names the file."""


class KeySetError(Exception):
    """A JSON Web Key Set that can't be used."""


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A public key that signs for an issuer, and the one algorithm that it verifies."""

    issuer: str
    key: PublicKey
    algorithm: str
    key_id: str | None = None
    """None: the key of tokens with any id, or none."""

    @classmethod
    def from_file(cls, issuer: str, path: Path) -> "IssuerKey":
        """Read a PEM public key: EC P-256, RSA of at least 2048 bits, or Ed25519.

        Raises:
            KeyFileError: the file can't be read or holds no such key.
        """
        try:
            key = load_pem_public_key(path.read_bytes())
        except OSError as error:
            raise KeyFileError(f"public key file {path}: {error.strerror}") from None
        except (ValueError, UnsupportedAlgorithm):
            raise KeyFileError(f"public key file {path}: no PEM public key") from None
        if (known := _known(key)) is None:
            raise KeyFileError(f"public key file {path}: {KEY_RULE}")
        return cls(issuer, *known)


def keys_of_set(issuer: str, content: object) -> tuple[IssuerKey, ...]:
    """The keys of a JSON Web Key Set (RFC 7517) that can verify signatures here; others are passed over.

    Raises:
        KeySetError: it isn't a key set, is too large, or holds no such key.
    """
    entries = content.get("keys") if isinstance(content, Mapping) else None
    if not isinstance(entries, list):
        raise KeySetError("isn't a JSON Web Key Set")
    if len(entries) > MAX_KEYS:
        raise KeySetError(f"has more than {MAX_KEYS} keys")
    keys = [key for entry in entries if (key := _key_of_entry(issuer, entry)) is not None]
    if not keys:
        raise KeySetError(f"has no usable key: one {KEY_RULE}")
    return tuple(keys)


def _key_of_entry(issuer: str, entry: object) -> IssuerKey | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    key_id = entry.get("kid")
    if key_id is not None and not (isinstance(key_id, str) and len(key_id) <= LONGEST_KEY_ID):
        return None
    try:
        known = _known(jwt.PyJWK.from_dict(entry).key)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        return None
    if known is None or entry.get("alg", known[1]) != known[1]:
        return None
    return IssuerKey(issuer, *known, key_id)


def _known(key: Any) -> tuple[PublicKey, str] | None:  # noqa: ANN401 - whatever a library made of a stranger's bytes
    """The key and its algorithm; None where it isn't a public key that we trust."""
    match key:
        case EllipticCurvePublicKey(curve=SECP256R1()):
            return key, "ES256"
        case RSAPublicKey() if key.key_size >= MIN_RSA_BITS:
            return key, "RS256"
        case Ed25519PublicKey():
            return key, "EdDSA"
        case _:
            return None
