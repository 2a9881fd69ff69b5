"""The signing key of a stack that has no real identity provider: development only."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_tls as tls
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.labels import labels
from infra.naming import GATEWAY, ISSUER_KEYS, TOKEN_ISSUER, Stack, dev_issuer
from infra.settings.groups import DEV_ISSUER_NAME


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenIssuerArgs:
    """The development issuer.

    Attributes:
        stack: The stack.
        audience: What its tokens are for.
    """

    stack: Stack
    audience: str


class TokenIssuer(pulumi.ComponentResource):
    """A P-256 key, made once. Its private half is in a Secret that no pod mounts: `mcpctl token` reads it."""

    def __init__(self, name: str, args: TokenIssuerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:security:TokenIssuer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        def metadata(object_name: str) -> ObjectMetaArgs:
            own = labels(args.stack, GATEWAY, "gateway")
            return ObjectMetaArgs(name=object_name, namespace=args.stack.namespace, labels=own)

        key = tls.PrivateKey(name, algorithm="ECDSA", ecdsa_curve="P256", opts=child)
        v1.Secret(
            TOKEN_ISSUER,
            metadata=metadata(TOKEN_ISSUER),
            type="Opaque",
            string_data={
                "private.pem": pulumi.Output.secret(key.private_key_pem),
                "public.pem": pulumi.Output.secret(key.public_key_pem),
                "issuer": pulumi.Output.secret(dev_issuer(args.stack.name)),
                "audience": pulumi.Output.secret(args.audience),
            },
            opts=child,
        )
        v1.Secret(
            ISSUER_KEYS,
            metadata=metadata(ISSUER_KEYS),
            type="Opaque",
            string_data={f"{DEV_ISSUER_NAME}.pem": pulumi.Output.secret(key.public_key_pem)},
            opts=child,
        )
        self.register_outputs({"issuer": dev_issuer(args.stack.name)})
