"""The store that the stack's Secrets are copied from, and Secrets that its settings name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.components.secret import copy_of
from infra.external_secrets import (
    AwsProvider,
    ExternalSecret,
    Provider,
    SecretStore,
    SecretStoreSpec,
    Template,
    TemplateMetadata,
)
from infra.labels import labels
from infra.naming import PROJECT, Stack
from infra.secret_source import SecretSource


@dataclass(frozen=True, kw_only=True, slots=True)
class ExternalSecretsArgs:
    """A stack's store.

    Attributes:
        stack: The stack.
        source: The store.
        region: Of the AWS Secrets Manager that it is; None where the cluster has the store's object already.
        secrets: The keys of Secrets that settings name. What the platform needs is declared by its parts.
    """

    stack: Stack
    source: SecretSource
    region: str | None
    secrets: Mapping[str, Sequence[str]]


class ExternalSecrets(pulumi.ComponentResource):
    """A SecretStore, and an ExternalSecret for each Secret that settings name."""

    def __init__(
        self, name: str, args: ExternalSecretsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mcp:security:ExternalSecrets", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        own = labels(args.stack, PROJECT, "platform")

        def metadata(object_name: str) -> ObjectMetaArgs:
            return ObjectMetaArgs(name=object_name, namespace=args.stack.namespace, labels=own)

        if args.region:
            spec = SecretStoreSpec(provider=Provider(aws=AwsProvider(region=args.region)))
            SecretStore(args.source.name, metadata(args.source.name), spec, child)
        template = Template(type="Opaque", metadata=TemplateMetadata(labels=own))
        for secret, keys in sorted(args.secrets.items()):
            ExternalSecret(secret, metadata(secret), copy_of(secret, keys, args.source, template), child)
        self.register_outputs({})
