"""Types of single settings: what a value must look like, and the words that say so when it doesn't."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated, Final, Never
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificates
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from infra.addresses import CREDENTIALS
from infra.naming import DNS_LABEL
from infra.quantities import cpu_millis, size_bytes

REJECTED: Final = "rejected"
"""Type of the errors that `reject` raises."""

ABSENT: Final = object()
"""Stands for the value of a key that is not there, or whose value has no place in a message."""

_IMAGE: Final = re.compile(
    r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+(?P<tag>:[\w][\w.-]{0,127})?(?P<digest>@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_PATH: Final = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
"""A part of a repository's name: https://github.com/opencontainers/distribution-spec."""
_REGISTRY: Final = re.compile(rf"[a-z0-9.-]+(:\d+)?(/{_PATH})*", re.ASCII)
_HOST: Final = re.compile(
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII | re.IGNORECASE
)
_LEAST_VOLUME: Final = size_bytes("1Mi")
_MOST_VOLUME: Final = size_bytes("64Ti")
_HOST_HEADER: Final = re.compile(r"[^\s/,@]*[^\s/,@.]", re.ASCII)


class Group(BaseModel):
    """A group of settings: unknown keys are errors, types are exact, nothing changes once read."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


def reject(key: str, reason: str, value: object = ABSENT) -> Never:
    """Fail a group's validation because of one of its keys.

    Args:
        key: The key below the group, dotted.
        reason: What is allowed, and why; continues "… : ".
        value: The value to show, or nothing where the key is absent.

    Raises:
        PydanticCustomError: Always.
    """
    raise PydanticCustomError(REJECTED, "{reason}", {"key": key, "reason": reason, "value": value})


def matching(pattern: re.Pattern[str], wanted: str) -> Callable[[str], str]:
    """A validator of text that must match as a whole; `wanted` says in words what that is."""

    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"must be {wanted}")
        return text

    return check


def _quantity(parse: Callable[[str], int]) -> Callable[[str], str]:
    def check(text: str) -> str:
        parse(text)
        return text

    return check


def _volume_size(text: str) -> str:
    if not _LEAST_VOLUME <= size_bytes(text) <= _MOST_VOLUME:
        raise ValueError("must be from 1Mi to 64Ti, such as 50Gi: without a unit, it is bytes")
    return text


def _cidr(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(
            "must be a network in CIDR notation without host bits, such as 10.0.0.0/16"
        ) from error
    if "/" not in text:
        raise ValueError("must name its prefix length, such as 10.0.0.1/32")
    if text.partition("/")[2] != str(network.prefixlen):
        raise ValueError(f"must name its prefix length as a number, {network}")
    if str(network) in CREDENTIALS:
        raise ValueError("must not be where a cloud hands out credentials: pods get theirs without a setting")
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an http or https URL without query and fragment")
    if parts.username or parts.password:
        raise ValueError("must not hold a user name or password")
    return text


def _https_url(text: str) -> str:
    if urlsplit(_url(text)).scheme != "https":
        raise ValueError("must be an https URL: tokens are trusted on the word of this address")
    return text


def _public_key(text: str) -> str:
    if "PRIVATE KEY" in text:
        raise ValueError("must be the public key; this is a private one, which now counts as disclosed")
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("must be a public key in PEM form (-----BEGIN PUBLIC KEY-----)") from error
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return text
    raise ValueError("must be an elliptic-curve key on P-256: the gateway accepts ES256 tokens")


def _certificates(text: str) -> str:
    if "PRIVATE KEY" in text:
        raise ValueError("must be certificates; there is a private key, which now counts as disclosed")
    try:
        load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise ValueError("must be certificates in PEM form (-----BEGIN CERTIFICATE-----)") from error
    return text


def _pinned_image(text: str) -> str:
    match = _IMAGE.fullmatch(text)
    if match is None:
        raise ValueError("must be an image with its registry, such as registry.example/team/name@sha256:…")
    if match["digest"] is None:
        raise ValueError("must be pinned by digest (@sha256:…): a tag can be moved to other contents")
    return text


Label = Annotated[
    str,
    AfterValidator(matching(re.compile(DNS_LABEL), "a DNS label: a-z, 0-9, hyphens")),
    Field(max_length=63),
]
Host = Annotated[str, AfterValidator(matching(_HOST, "a host name or address, without scheme or port"))]
HostHeader = Annotated[
    str,
    Field(min_length=1),
    AfterValidator(
        matching(_HOST_HEADER, "a host as clients name it, without scheme, path and dot at its end")
    ),
]
Cpu = Annotated[str, AfterValidator(_quantity(cpu_millis))]
Size = Annotated[str, AfterValidator(_quantity(size_bytes))]
VolumeSize = Annotated[str, AfterValidator(_volume_size)]
Cidr = Annotated[str, AfterValidator(_cidr)]
Url = Annotated[str, AfterValidator(_url)]
HttpsUrl = Annotated[str, AfterValidator(_https_url)]
PublicKey = Annotated[str, AfterValidator(_public_key)]
Certificates = Annotated[str, AfterValidator(_certificates)]
PinnedImage = Annotated[str, AfterValidator(_pinned_image)]
Registry = Annotated[
    str, AfterValidator(matching(_REGISTRY, "a registry and path, such as registry.example/team"))
]
Port = Annotated[int, Field(ge=1, le=65535)]
Text = Annotated[str, Field(min_length=1)]
DatabaseName = Annotated[
    str,
    AfterValidator(
        matching(re.compile(r"[a-z_][a-z0-9_]{0,62}"), "a name that needs no quotes: a-z, 0-9 and _")
    ),
]
EnvName = Annotated[
    str, AfterValidator(matching(re.compile(r"[A-Z_][A-Z0-9_]*"), "a name such as LOG_LEVEL"))
]
