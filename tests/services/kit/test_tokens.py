"""Token verification: keys, cache and clock (what is refused is tested through the gateway)."""

from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from services.kit.tokens import (
    IssuerKey,
    KeyFileError,
    Principal,
    Refusal,
    TokenRefusedError,
    TokenVerifier,
)
from services.kit.tokens import verifier as verifier_module

ISSUER = "https://issuer.test"
AUDIENCE = "https://gateway.test/mcp"
FAR = 4_000_000_000
PUBLIC = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
PRIVATE_KEYS: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def key_file(folder: Path, key: Any) -> Path:
    file = folder / "key.pem"
    file.write_bytes(key.public_key().public_bytes(*PUBLIC))
    return file


def claims(**changes: Any) -> dict[str, Any]:
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": FAR, "scope": "a b", **changes}


@pytest.mark.parametrize("algorithm", list(PRIVATE_KEYS))
def test_each_kind_of_key_verifies_its_algorithm_only(algorithm: str, tmp_path: Path) -> None:
    key = IssuerKey.from_file(ISSUER, key_file(tmp_path, PRIVATE_KEYS[algorithm]))
    assert key.algorithm == algorithm
    verifier = TokenVerifier([key], audience=AUDIENCE)
    for other, private in PRIVATE_KEYS.items():
        token = jwt.encode(claims(), private, other)
        if other == algorithm:
            principal = verifier.verify(token)
            assert (principal.subject, principal.issuer) == ("ada", ISSUER)
            assert (principal.scopes, principal.expires_at) == (frozenset({"a", "b"}), FAR)
        else:
            with pytest.raises(TokenRefusedError) as caught:
                verifier.verify(token)
            assert caught.value.reason is Refusal.ALGORITHM


WEAK: list[Any] = [
    ec.generate_private_key(ec.SECP384R1()),
    rsa.generate_private_key(public_exponent=65537, key_size=1024),  # noqa: S505 - that it is weak is the point
]


@pytest.mark.parametrize("key", WEAK)
def test_weak_or_other_keys_are_refused(key: Any, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="must be EC P-256, RSA of 2048 bits or more or Ed25519"):
        IssuerKey.from_file(ISSUER, key_file(tmp_path, key))


def test_files_that_hold_no_key(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        IssuerKey.from_file(ISSUER, tmp_path / "none.pem")
    (tmp_path / "private.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(KeyFileError, match="no PEM public key"):
        IssuerKey.from_file(ISSUER, tmp_path / "private.pem")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counting(TokenVerifier):
    checks = 0

    def _verify(self, token: str) -> Principal:
        self.checks += 1
        expires = float(token)
        return Principal("ada", ISSUER, frozenset(), expires)


def test_a_good_token_is_remembered_for_a_minute() -> None:
    clock = Clock()
    verifier = Counting([], audience=AUDIENCE, now=clock)
    for _ in range(3):
        verifier.verify("9999")
    assert verifier.checks == 1
    clock.now += 60
    verifier.verify("9999")
    assert verifier.checks == 2


def test_no_token_is_remembered_beyond_its_end() -> None:
    clock = Clock()
    verifier = Counting([], audience=AUDIENCE, now=clock)
    verifier.verify("1010")
    clock.now = 1010
    verifier.verify("1010")
    assert verifier.checks == 2


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier_module, "CACHE_ENTRIES", 3)
    verifier = Counting([], audience=AUDIENCE, now=Clock())
    for expiry in range(2000, 2010):
        verifier.verify(str(expiry))
    verifier.verify("2009")
    assert verifier.checks == 10
    verifier.verify("2006")
    assert verifier.checks == 11
