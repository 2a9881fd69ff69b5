"""Where a stack's secrets come from, and those that its settings ask for besides."""

from __future__ import annotations

import pulumi

from infra import naming
from infra.components.external_secrets import ExternalSecrets, ExternalSecretsArgs
from infra.naming import Stack
from infra.secret_source import SecretSource
from infra.settings import Settings


def secret_source(stack: str, settings: Settings) -> SecretSource | None:
    """The stack's store of secrets; None where the program makes them."""
    external = settings.external_secrets
    if external is None:
        return None
    return SecretSource(
        kind=external.store.kind if external.store else "SecretStore",
        name=external.store.name if external.store else naming.SECRET_STORE,
        prefix=f"{external.prefix}{stack}/",
        refresh_minutes=external.refresh_minutes,
        entries={name: more.entry for name, more in external.secrets.items() if more.entry},
        of_account=external.store is None,
    )


def assemble_secrets(stack: Stack, settings: Settings, opts: pulumi.ResourceOptions) -> None:
    """Declare the store, where it is the account's, and the Secrets that settings ask for."""
    external = settings.external_secrets
    if external is None or stack.secrets is None:
        return
    args = ExternalSecretsArgs(
        stack=stack,
        source=stack.secrets,
        region=settings.aws.region if settings.aws and stack.secrets.of_account else None,
        secrets={name: more.keys for name, more in external.secrets.items()},
    )
    ExternalSecrets(naming.EXTERNAL_SECRETS, args, opts)
