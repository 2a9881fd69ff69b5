"""cert-manager's custom resources, as far as they are used: `cert-manager.io/v1`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from infra.custom_resources import TypedResource

GROUP: Final = "cert-manager.io"
API_VERSION: Final = f"{GROUP}/v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuerReference:
    """Who signs."""

    name: str
    kind: Literal["ClusterIssuer", "Issuer"]
    group: str = GROUP


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivateKey:
    """The certificate's key; another one with each renewal."""

    algorithm: Literal["ECDSA", "RSA"] = "ECDSA"
    size: int = 256
    rotation_policy: Literal["Always"] = "Always"


@dataclass(frozen=True, kw_only=True, slots=True)
class CertificateSpec:
    """A certificate that is got, kept in a Secret and renewed.

    Attributes:
        secret_name: The Secret, of the type kubernetes.io/tls.
        issuer_ref: Who signs it.
        dns_names: Hosts that it is for.
        private_key: Its key.
        usages: What it is for.
    """

    secret_name: str
    issuer_ref: IssuerReference
    dns_names: tuple[str, ...]
    private_key: PrivateKey = PrivateKey()
    usages: tuple[str, ...] = ("digital signature", "server auth")


class Certificate(TypedResource[CertificateSpec], api_version=API_VERSION):
    """Has cert-manager get a certificate."""
