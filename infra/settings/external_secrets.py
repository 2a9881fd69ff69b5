"""Settings of where secrets come from: a store that the External Secrets Operator copies from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from infra.naming import OWN_SECRETS
from infra.settings.fields import Group, Label, matching, reject

EntryName = Annotated[
    str,
    AfterValidator(matching(re.compile(r"[A-Za-z0-9/_+=.@!-]{1,256}"), "letters, digits and /_+=.@!-")),
]
KeyName = Annotated[
    str, AfterValidator(matching(re.compile(r"[A-Za-z0-9._-]{1,253}"), "letters, digits, dots, - and _"))
]


class StoreReference(Group):
    """A store that the cluster has."""

    kind: Literal["SecretStore", "ClusterSecretStore"] = "ClusterSecretStore"
    """A SecretStore is one of the stack's own namespace."""
    name: Label


class MoreSecret(Group):
    """A Secret that other settings name."""

    keys: tuple[KeyName, ...] = Field(min_length=1)
    """Those of the Secret and of the JSON object in the store's entry."""
    entry: EntryName | None = None
    """The store's entry, where it has a name of its own: `PREFIX` + stack + `/` + Secret when left out."""


class ExternalSecrets(Group):
    """The store of a stack's secrets. The External Secrets Operator must be there."""

    store: StoreReference | None = None
    """One for AWS Secrets Manager, in the account and region of `aws`, is made when left out."""
    prefix: EntryName = "mcp-platform/"
    """What the names of all entries begin with; the stack's name and the Secret's follow."""
    refresh_minutes: int = Field(default=60, ge=1, le=1440)
    """How old a copy may be."""
    secrets: Mapping[Label, MoreSecret] = {}
    """More Secrets to make, such as those that external stores or servers of your own name."""

    @model_validator(mode="after")
    def _names_are_free(self) -> ExternalSecrets:
        for name in sorted(OWN_SECRETS & set(self.secrets)):
            reject(
                f"secrets.{name}", "is a Secret of the platform, which is made anyway; choose another name"
            )
        return self

    def check_has(self, setting: str, secret: str, *keys: str) -> None:
        """Reject a Secret that is made here without a key that another setting wants of it."""
        more = self.secrets.get(secret)
        missing = [key for key in keys if more and key not in more.keys]
        if missing:
            reject(
                f"external_secrets.secrets.{secret}.keys",
                f"must have {' and '.join(missing)}, which {setting} wants of it",
                list(more.keys if more else ()),
            )
