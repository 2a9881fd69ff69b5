"""Where a stack's secrets come from, when the program does not make them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretSource:
    """A secret store outside of the cluster, which the External Secrets Operator copies from.

    Attributes:
        kind: Of the store's object in the cluster.
        name: Of that object.
        prefix: Of the names of the stack's entries in the store.
        refresh_minutes: How old a copy may be.
        entries: Entries with names of their own, by the Secret that they become.
        of_account: Whether the stack makes the store's object, for its AWS account.
    """

    kind: Literal["SecretStore", "ClusterSecretStore"]
    name: str
    prefix: str
    refresh_minutes: int
    entries: Mapping[str, str] = field(default_factory=dict[str, str])
    of_account: bool = False

    def entry(self, secret: str) -> str:
        """The entry that holds the values of one Secret, as a JSON object."""
        return self.entries.get(secret, f"{self.prefix}{secret}")
