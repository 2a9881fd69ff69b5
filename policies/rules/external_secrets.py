# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Secrets that an operator copies from a store outside the cluster."""

from __future__ import annotations

import re
from typing import Final

from policies.family import Family
from policies.matching import every
from policies.node import UNKNOWN
from policies.objects import KubernetesObject, Stack, same_name
from policies.rule import Findings, Options, Severity, fail, forbid, require, require_any

FAMILY: Final = Family("external-secrets", "Secrets from outside the cluster", together="platform")

_SECRET: Final = "ExternalSecret.external-secrets.io"  # noqa: S105 - a kind
_STORE: Final = "SecretStore.external-secrets.io"
_STORES: Final = (_STORE, "ClusterSecretStore.external-secrets.io")
_ALL: Final = (*_STORES, _SECRET)
_API: Final = "external-secrets.io/v1"
_NEVER: Final = re.compile(r"0[a-zµ]*\Z")


@FAMILY.object(
    "external-secret-version",
    "External secrets are written in the version that is served",
    Severity.HIGH,
    *_ALL,
    fix=f"Use {_API}: the operator has served no beta since 0.17.",
)
def external_secret_version(subject: KubernetesObject, _options: Options) -> Findings:
    yield from require(subject.node.key("apiVersion"), lambda value: value == _API, f"must be {_API}")


@FAMILY.stack(
    "external-secret-store",
    "Every external secret's store is in the stack, or the cluster's",
    Severity.HIGH,
    *_ALL,
    fix="Declare the SecretStore that secretStoreRef names, in the same namespace.",
)
def external_secret_store(stack: Stack, _options: Options) -> Findings:
    for secret in stack.of_kind(_SECRET):
        reference = secret.node.at("spec.secretStoreRef")
        name = reference.key("name")
        if reference.key("kind").value == "ClusterSecretStore":
            continue
        if name.unknown or name.absent:
            yield fail(name, "must name a store", secret)
            continue
        answers = [
            every([same_name(store.name, str(name.value)), same_name(store.namespace, secret.namespace)])
            for store in stack.of_kind(_STORE)
        ]
        yield from require_any(answers, name, f"{name.value} is no SecretStore of the stack", secret)


@FAMILY.object(
    "external-secret-refreshed",
    "A secret that is changed in its store arrives",
    Severity.MEDIUM,
    _SECRET,
    fix="Set refreshInterval, such as 1h, and leave refreshPolicy at Periodic.",
)
def external_secret_refreshed(subject: KubernetesObject, _options: Options) -> Findings:
    spec = subject.node.key("spec")
    yield from forbid(spec.key("refreshPolicy"), lambda value: value != "Periodic", "must be Periodic")
    yield from require(
        spec.key("refreshInterval"),
        lambda value: isinstance(value, str) and not _NEVER.match(value),
        "must be a time above 0",
    )


@FAMILY.object(
    "external-secret-kept",
    "A store's entry that is gone takes no service down",
    Severity.MEDIUM,
    _SECRET,
    fix="Set target.deletionPolicy to Retain, or leave it out.",
)
def external_secret_kept(subject: KubernetesObject, _options: Options) -> Findings:
    yield from forbid(
        subject.node.at("spec.target.deletionPolicy"), lambda value: value != "Retain", "must be Retain"
    )


@FAMILY.object(
    "secret-store-identity",
    "Stores are asked with an identity of the pod's, not with a key",
    Severity.HIGH,
    *_STORES,
    fix="Remove provider.aws.auth.secretRef: use EKS Pod Identity, or auth.jwt with a service account.",
    references=("AWS Well-Architected: SEC02-BP02",),
)
def secret_store_identity(subject: KubernetesObject, _options: Options) -> Findings:
    aws = subject.node.at("spec.provider.aws")
    yield from forbid(aws.at("auth.secretRef"), lambda _: True, "is a key that never ends")
    if aws.value is not UNKNOWN and not aws.absent:
        yield from require(aws.key("region"), bool, "must be set")
