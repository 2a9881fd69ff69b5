"""What a policy file may say.

    groups:
      operators:
        members:
          - {issuer: https://login.example.com/, claims: {groups: [sre, platform]}}
          - {subject: "system:serviceaccount:agents:*"}
        scopes: [mcp:read, mcp:call]
    rules:
      - {effect: allow, groups: ["*"], servers: ["*"], tools: ["read_*"], resources: ["*"], prompts: ["*"]}
      - {effect: allow, groups: [operators], servers: [filesystem], tools: ["*"], scopes: [files:write]}
      - {effect: deny, groups: ["*"], servers: ["*"], tools: ["delete_*"]}
      - {effect: ask, groups: ["*"], servers: ["*"], tools: ["send_*"]}
      - {effect: allow, groups: [robots], servers: [filesystem], tools: [write_file], approval: waived}

What no rule allows is denied; what any rule denies is denied, whatever else allows it. What any rule asks for
needs the approval of the caller's human, whatever else waives it, and must be allowed as well; where no rule
says, the tool's annotations do. Names are matched as the server has them, without its prefix.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

EVERYBODY: Final = "*"
"""The group of all who may come in at all."""

_SCOPE: Final = r"^[\x21\x23-\x5b\x5d-\x7e]{1,100}$"
"""RFC 6749 §3.3."""

Pattern = Annotated[str, Field(min_length=1, max_length=256)]
"""`*` stands for any text, `?` for any character, `[abc]` for one of some."""
ScopeName = Annotated[str, Field(pattern=_SCOPE)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


class Trust:
    """What the gateway's own configuration lets a policy refer to."""

    def __init__(self, issuers: frozenset[str], claims: frozenset[str]) -> None:
        self.issuers = issuers
        self.claims = claims


class Part(BaseModel):
    """A mapping in which every key is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Member(Part):
    """Callers that belong to a group: all that is said here must hold for them."""

    issuer: str | None = None
    """Who must have issued the token; needed where several issuers are trusted."""
    subject: Pattern | None = None
    claims: Mapping[str, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    """Claim → values, one of which the token must have."""

    @field_validator("issuer")
    @classmethod
    def _is_trusted(cls, issuer: str | None, info: ValidationInfo) -> str | None:
        trusted = _trust(info).issuers
        if issuer is not None and issuer not in trusted:
            raise ValueError(f"must be an issuer of auth.issuers: {', '.join(sorted(trusted)) or 'none'}")
        return issuer

    @field_validator("claims")
    @classmethod
    def _are_read(
        cls, claims: Mapping[str, tuple[str, ...]], info: ValidationInfo
    ) -> Mapping[str, tuple[str, ...]]:
        known = _trust(info).claims
        if unknown := sorted(claims.keys() - known):
            raise ValueError(f"{unknown[0]!r} must be one of auth.group_claims: {', '.join(sorted(known))}")
        return claims

    @model_validator(mode="after")
    def _says_who(self, info: ValidationInfo) -> Self:
        if self.subject is None and not self.claims:
            raise ValueError("must say who is meant: subject, claims or both")
        if self.issuer is None and len(_trust(info).issuers) > 1:
            raise ValueError("must name its issuer: several are trusted, and each chooses its own subjects")
        return self


class Group(Part):
    """Callers, and the scopes that they have beyond their tokens'."""

    members: Annotated[tuple[Member, ...], Field(min_length=1)]
    scopes: tuple[ScopeName, ...] = ()


class Rule(Part):
    """Lets groups use, or forbids them, or makes them ask for, what matches."""

    effect: Literal["allow", "ask", "deny"]
    groups: Annotated[tuple[str, ...], Field(min_length=1)]
    servers: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    tools: tuple[Pattern, ...] = ()
    resources: tuple[Pattern, ...] = ()
    prompts: tuple[Pattern, ...] = ()
    scopes: tuple[ScopeName, ...] = ()
    """Needed besides the method's own."""
    approval: Literal["waived"] | None = None
    """Who uses the tools by this rule needs no approval, whatever their annotations say."""

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if not (self.tools or self.resources or self.prompts):
            raise ValueError("must say what it is about: tools, resources or prompts")
        if self.effect != "allow" and self.scopes:
            raise ValueError(f"scopes have no meaning in a rule with effect {self.effect}")
        if self.effect == "ask" and (self.resources or self.prompts):
            raise ValueError("effect ask is about tools only")
        if self.approval and (self.effect != "allow" or not self.tools):
            raise ValueError("approval: waived has a meaning only in a rule that allows tools")
        return self


class Policy(Part):
    """The whole file."""

    groups: Mapping[Name, Group] = {}
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]

    @field_validator("rules", mode="after")
    @classmethod
    def _groups_exist(cls, rules: tuple[Rule, ...], info: ValidationInfo) -> tuple[Rule, ...]:
        if "groups" not in info.data:
            return rules  # they have problems of their own
        known = {EVERYBODY, *info.data["groups"]}
        for index, rule in enumerate(rules):
            for group in rule.groups:
                if group not in known:
                    raise ValueError(
                        f"rule {index + 1} names the group {group!r}; allowed: {', '.join(sorted(known))}"
                    )
        return rules


def _trust(info: ValidationInfo) -> Trust:
    assert isinstance(info.context, Trust)  # noqa: S101 - `load_policy` is the one way in
    return info.context
