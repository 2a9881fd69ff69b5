"""A Secret of the stack's own: made by the program, or copied from the stack's secret store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
import pulumi_random as random
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.external_secrets import (
    Data,
    ExternalSecret,
    ExternalSecretSpec,
    RemoteRef,
    StoreRef,
    Target,
    Template,
    TemplateMetadata,
)
from infra.labels import RANDOM, Component, labels
from infra.naming import Stack
from infra.secret_source import SecretSource

PASSWORD: Final = "password"  # noqa: S105 - a key's name
LENGTH: Final = 32
"""Of a password of letters and digits: 190 bits."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A file that is made of random values; the two ways must come to the same.

    Attributes:
        make: By the program: of the random values, by key.
        template: By the External Secrets Operator, whose template language is Go's with sprig's functions.
    """

    make: Callable[[Mapping[str, str]], str]
    template: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretArgs:
    """One Secret.

    Attributes:
        stack: The stack; it says where the values come from.
        service: Whose it is.
        component: What part that plays.
        random: Random values by key, and how many letters and digits they have.
        fixed: What is not secret, but read from the same place.
        derived: Files that are made of the random values.
        kind: The Secret's type.
        more_labels: Beside our own, for an operator that reads it.
    """

    stack: Stack
    service: str
    component: Component
    random: Mapping[str, int] = field(default_factory=lambda: {PASSWORD: LENGTH})
    fixed: Mapping[str, str] = field(default_factory=dict[str, str])
    derived: Mapping[str, Derived] = field(default_factory=dict[str, Derived])
    kind: str = "Opaque"
    more_labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def labels(self) -> dict[str, str]:
        """The Secret's labels, whoever makes it."""
        return {**labels(self.stack, self.service, self.component), **self.more_labels}


def build_external(name: str, args: SecretArgs, source: SecretSource) -> ExternalSecretSpec:
    """The Secret's copy from the store: the same keys with the same content."""
    templates: dict[str, str] = {}
    if args.fixed or args.derived:
        templates = {key: value_template(key) for key in args.random}
        templates |= args.fixed
        templates |= {key: derived.template for key, derived in args.derived.items()}
    return copy_of(
        name,
        list(args.random),
        source,
        Template(type=args.kind, metadata=TemplateMetadata(labels=args.labels()), data=templates or None),
    )


def copy_of(name: str, keys: Sequence[str], source: SecretSource, template: Template) -> ExternalSecretSpec:
    """A Secret of some keys of its entry."""
    entry = source.entry(name)
    return ExternalSecretSpec(
        secret_store_ref=StoreRef(kind=source.kind, name=source.name),
        refresh_interval=f"{source.refresh_minutes}m",
        target=Target(name=name, template=template),
        data=tuple(Data(secret_key=key, remote_ref=RemoteRef(key=entry, property=key)) for key in keys),
    )


def value_template(key: str) -> str:
    """One value as it stands. By `index`, as a key need not be a name of the template language."""
    return f'{{{{ index . "{key}" }}}}'


def place_secret(name: str, args: SecretArgs, opts: pulumi.ResourceOptions) -> None:
    """Declare the Secret; what the program makes is made once."""
    metadata = ObjectMetaArgs(name=name, namespace=args.stack.namespace, labels=args.labels())
    if args.stack.secrets:
        metadata.annotations = {RANDOM: ",".join(args.random)}
        ExternalSecret(name, metadata, build_external(name, args, args.stack.secrets), opts)
        return
    made = {
        key: pulumi.Output.secret(
            random.RandomPassword(_resource(name, key), length=length, special=False, opts=opts).result
        )
        for key, length in args.random.items()
    }
    values = pulumi.Output.all(**made)
    files = {key: values.apply(derived.make) for key, derived in args.derived.items()}
    fixed = {key: pulumi.Output.secret(text) for key, text in args.fixed.items()}
    v1.Secret(name, metadata=metadata, type=args.kind, string_data={**fixed, **made, **files}, opts=opts)


def _resource(secret: str, key: str) -> str:
    return secret if key == PASSWORD else f"{secret}-{key}"
