"""Who is let in, and what they may do: the configuration of it."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from services.gateway.config_parts import SERVICE_ACCOUNT, HttpUrl, Part, Seconds, https_unless_local


class Published(Part):
    """Keys that are fetched: how often, and how long the last ones stay in use if that fails."""

    refresh_seconds: Annotated[float, Field(gt=0, le=86_400)] = 300
    keep_seconds: Annotated[float, Field(gt=0, le=30 * 86_400)] = 86_400


class KeySet(Published):
    """A JSON Web Key Set."""

    uri: Annotated[HttpUrl, AfterValidator(https_unless_local)]
    ca_file: Path | None = None


class ClusterKeys(Published):
    """The keys of a Kubernetes cluster's service accounts, from its API. The rest is for running outside."""

    api_url: Annotated[HttpUrl, AfterValidator(https_unless_local)] | None = None
    token_file: Path = SERVICE_ACCOUNT / "token"
    ca_file: Path = SERVICE_ACCOUNT / "ca.crt"


class Issuer(Part):
    """Who may issue tokens, and where the keys are: in a file, at an address, or at the cluster's API."""

    issuer: HttpUrl
    public_key_file: Path | None = None
    jwks: KeySet | None = None
    kubernetes: ClusterKeys | None = None

    @model_validator(mode="after")
    def _has_keys(self) -> Self:
        if [self.public_key_file, self.jwks, self.kubernetes].count(None) != 2:  # noqa: PLR2004 - all but one
            raise ValueError("exactly one of 'public_key_file', 'jwks' and 'kubernetes' is needed")
        return self


class Auth(Part):
    """Bearer tokens are required; they must name our audience."""

    audience: HttpUrl
    issuers: Annotated[tuple[Issuer, ...], Field(min_length=1)]
    group_claims: tuple[str, ...] = ("groups", "roles")
    """Claims (text, or a list of it) that a policy may refer to."""

    @field_validator("issuers")
    @classmethod
    def _keys_come_one_way(cls, issuers: tuple[Issuer, ...]) -> tuple[Issuer, ...]:
        names = [it.issuer for it in issuers]
        for it in issuers:
            if it.public_key_file is None and names.count(it.issuer) > 1:
                raise ValueError(f"{it.issuer!r} is there twice; only key files may be several")
        return issuers


class Authorization(Part):
    """Who may use what."""

    policy_file: Path
    """See services/gateway/authorization/model.py. Without one, scopes alone decide."""
    reload_seconds: Seconds = 2
    """How often it is looked whether the file has changed."""
