"""Values that are made once: passwords and keys, as Pulumi's `random` and `tls` providers make them."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping
from random import SystemRandom
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from infra.errors import PlatformError

SPECIAL: Final = "!@#$%&*()-_=+[]{}<>:?"
_CURVES: Final[Mapping[str, Callable[[], ec.EllipticCurve]]] = {
    "P224": ec.SECP224R1,
    "P256": ec.SECP256R1,
    "P384": ec.SECP384R1,
    "P521": ec.SECP521R1,
}


def make(type_: str, inputs: Mapping[str, Any]) -> dict[str, str]:
    """The outputs of a new resource that can be told; what is not among them stays unknown."""
    return GENERATORS[type_](inputs)


def _text(inputs: Mapping[str, Any]) -> dict[str, str]:
    """`RandomPassword` and `RandomString`: at least so many of each class, the rest from all allowed ones."""
    classes = {
        "lower": string.ascii_lowercase,
        "upper": string.ascii_uppercase,
        "numeric": string.digits,
        "special": inputs.get("overrideSpecial") or SPECIAL,
    }
    allowed = {name: letters for name, letters in classes.items() if inputs.get(name, True)}
    length = int(inputs["length"])
    chosen = [
        secrets.choice(letters)
        for name, letters in classes.items()
        for _ in range(int(inputs.get(f"min{name.capitalize()}", 0)))
    ]
    if not allowed or len(chosen) > length:
        raise PlatformError(f"no text of length {length} can satisfy {dict(inputs)}")
    chosen += [secrets.choice("".join(allowed.values())) for _ in range(length - len(chosen))]
    SystemRandom().shuffle(chosen)
    return {"result": "".join(chosen)}


def _key_pair(inputs: Mapping[str, Any]) -> dict[str, str]:
    """`PrivateKey`: the pair as PEM, in the formats that the `tls` provider uses."""
    algorithm = inputs["algorithm"]
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    traditional = serialization.PrivateFormat.TraditionalOpenSSL
    match algorithm:
        case "RSA":
            key = rsa.generate_private_key(public_exponent=65537, key_size=int(inputs.get("rsaBits", 2048)))
        case "ECDSA":
            key = ec.generate_private_key(_CURVES[inputs.get("ecdsaCurve", "P224")]())
        case "ED25519":
            key = ed25519.Ed25519PrivateKey.generate()
            traditional = serialization.PrivateFormat.PKCS8
        case _:
            raise PlatformError(f"a key's algorithm must be RSA, ECDSA or ED25519, not {algorithm!r}")

    def private(form: serialization.PrivateFormat) -> str:
        return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()

    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "privateKeyPem": private(traditional),
        "privateKeyPemPkcs8": private(serialization.PrivateFormat.PKCS8),
        "publicKeyPem": public.decode(),
    }


GENERATORS: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, str]]]] = {
    "random:index/randomPassword:RandomPassword": _text,
    "random:index/randomString:RandomString": _text,
    "tls:index/privateKey:PrivateKey": _key_pair,
}
"""By type token, what makes a resource's outputs from its inputs."""
