"""cert-manager's custom resources, as far as they are used: `cert-manager.io/v1`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.custom_resources import to_data

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


class Certificate(CustomResource):
    """Has cert-manager get a certificate."""

    def __init__(
        self, name: str, metadata: ObjectMetaArgs, spec: CertificateSpec, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(name, API_VERSION, "Certificate", metadata=metadata, spec=to_data(spec), opts=opts)
