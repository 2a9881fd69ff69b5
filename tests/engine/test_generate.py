from __future__ import annotations

import string
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from infra.engine.generate import SPECIAL, make
from infra.errors import PlatformError

PASSWORD = "random:index/randomPassword:RandomPassword"
KEY = "tls:index/privateKey:PrivateKey"


@given(
    length=st.integers(12, 80),
    special=st.booleans(),
    numeric=st.booleans(),
    least=st.integers(0, 3),
)
def test_a_password_has_what_was_asked_for(length: int, special: bool, numeric: bool, least: int) -> None:
    inputs = {"length": length, "special": special, "numeric": numeric, "minUpper": least, "minLower": least}
    text = make(PASSWORD, inputs)["result"]
    assert len(text) == length
    assert special or not set(text) & set(SPECIAL)
    assert numeric or not set(text) & set(string.digits)
    assert sum(letter in string.ascii_uppercase for letter in text) >= least
    assert sum(letter in string.ascii_lowercase for letter in text) >= least


def test_two_passwords_differ() -> None:
    assert make(PASSWORD, {"length": 32}) != make(PASSWORD, {"length": 32})


def test_special_letters_can_be_chosen() -> None:
    inputs = {"length": 40, "overrideSpecial": "~", "upper": False, "lower": False, "numeric": False}
    assert make(PASSWORD, inputs) == {"result": "~" * 40}


@pytest.mark.parametrize(
    "inputs",
    [
        {"length": 2, "minUpper": 3},
        {"length": 8, "special": False, "upper": False, "lower": False, "numeric": False},
    ],
)
def test_an_impossible_password_is_an_error(inputs: dict[str, Any]) -> None:
    with pytest.raises(PlatformError, match="no text of length"):
        make(PASSWORD, inputs)


@pytest.mark.parametrize(
    "inputs",
    [
        {"algorithm": "ECDSA", "ecdsaCurve": "P256"},
        {"algorithm": "ECDSA"},
        {"algorithm": "ED25519"},
        {"algorithm": "RSA", "rsaBits": 2048},
    ],
)
def test_a_key_pair_belongs_together(inputs: dict[str, Any]) -> None:
    pair = make(KEY, inputs)
    for private in ("privateKeyPem", "privateKeyPemPkcs8"):
        key = load_pem_private_key(pair[private].encode(), password=None)
        assert key.public_key() == load_pem_public_key(pair["publicKeyPem"].encode())


def test_an_unknown_algorithm_is_an_error() -> None:
    with pytest.raises(PlatformError, match="must be RSA, ECDSA or ED25519, not 'DSA'"):
        make(KEY, {"algorithm": "DSA"})
