"""Passwords and keys, each made once: what Kubernetes' Secrets hold, by the same names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_random as random
import pulumi_tls as tls

from infra.components import postgres, redis
from infra.components.state_keys import LENGTH
from infra.naming import GATEWAY_DATABASE, ISSUER_KEYS, STATE_KEYS, TOKEN_ISSUER
from infra.settings.groups import DEV_ISSUER_NAME

_PASSWORD: Final = "password"  # noqa: S105 - a key's name
_PASSWORD_LENGTH: Final = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedArgs:
    """What is needed.

    Attributes:
        state_keys: Names of the gateway's keys for callers' state.
        dev_issuer: Whether the stack signs tokens of its own.
    """

    state_keys: Sequence[str]
    dev_issuer: bool


class Generated(pulumi.ComponentResource):
    """The values.

    Attributes:
        secrets: What each Secret would hold.
    """

    secrets: Mapping[str, Mapping[str, pulumi.Output[str]]]

    def __init__(self, name: str, args: GeneratedArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:docker:Generated", name, None, opts)
        redis_password = self._text(redis.AUTH_SECRET, _PASSWORD_LENGTH)
        self.secrets = {
            redis.AUTH_SECRET: {
                _PASSWORD: redis_password,
                "users.acl": redis_password.apply(redis.access_list),
            },
            postgres.AUTH_SECRET: {
                "username": pulumi.Output.secret(postgres.USER),
                _PASSWORD: self._text(postgres.AUTH_SECRET, _PASSWORD_LENGTH),
            },
            GATEWAY_DATABASE: {_PASSWORD: self._text(GATEWAY_DATABASE, _PASSWORD_LENGTH)},
            STATE_KEYS: {key: self._text(f"{STATE_KEYS}-{key}", LENGTH) for key in args.state_keys},
            **(self._issuer() if args.dev_issuer else {}),
        }
        self.register_outputs({})

    def _text(self, name: str, length: int) -> pulumi.Output[str]:
        made = random.RandomPassword(
            name, length=length, special=False, opts=pulumi.ResourceOptions(parent=self)
        )
        return pulumi.Output.secret(made.result)

    def _issuer(self) -> dict[str, dict[str, pulumi.Output[str]]]:
        """The public half for the gateway; the private one is nowhere but where the values are kept."""
        key = tls.PrivateKey(
            TOKEN_ISSUER, algorithm="ECDSA", ecdsa_curve="P256", opts=pulumi.ResourceOptions(parent=self)
        )
        return {ISSUER_KEYS: {f"{DEV_ISSUER_NAME}.pem": pulumi.Output.secret(key.public_key_pem)}}
