"""The entries of a stack's secret store, by what its ExternalSecrets read; and making them in AWS."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from infra.engine.graph import Graph
from infra.errors import PlatformError
from infra.labels import RANDOM

LENGTH: Final = 48
"""Of a random value: 285 bits in letters and digits, as much as any of the stack's wants."""

_EXTERNAL: Final = "kubernetes:external-secrets.io/v1:ExternalSecret"
_STORE: Final = "kubernetes:external-secrets.io/v1:SecretStore"
_CHARACTERS: Final = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Store:
    """Where the entries are.

    Attributes:
        title: The store's object in the cluster.
        region: Of the AWS Secrets Manager that it is; None where the stack doesn't declare the store.
        accounts: Those that it may be in.
    """

    title: str
    region: str | None
    accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A JSON object under one name.

    Attributes:
        name: In the store.
        secrets: The Secrets that are made of it.
        keys: Everything that is read of it.
        random: Those that are random values and nothing else.
    """

    name: str
    secrets: tuple[str, ...]
    keys: tuple[str, ...]
    random: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an entry.

    Attributes:
        made: Keys that now have a random value.
        missing: Keys that somebody else must give a value.
    """

    made: tuple[str, ...]
    missing: tuple[str, ...]


class SecretsManager(Protocol):
    """What is used of boto3's client."""

    def get_secret_value(self, *, SecretId: str) -> Mapping[str, Any]:  # noqa: N803 - AWS's spelling
        """Read the newest value."""
        ...

    def create_secret(self, *, Name: str, SecretString: str) -> object:  # noqa: N803 - AWS's spelling
        """Make an entry."""
        ...

    def put_secret_value(self, *, SecretId: str, SecretString: str) -> object:  # noqa: N803 - AWS's spelling
        """Give an entry another value."""
        ...


def store(graph: Graph) -> Store | None:
    """The store of a stack's secrets; None where it has no ExternalSecrets."""
    for spec, _ in _specs(graph):
        reference = spec["secretStoreRef"]
        made = graph.by_type(_STORE).get(reference["name"])
        region = made.inputs["spec"]["provider"]["aws"]["region"] if made else None
        where = f" (AWS Secrets Manager, {region})" if region else ""
        return Store(f"{reference['kind']} {reference['name']}{where}", region, _accounts(graph))
    return None


def _accounts(graph: Graph) -> tuple[str, ...]:
    """The accounts that the stack may be deployed to; providers get lists as JSON."""
    providers = graph.by_type("pulumi:providers:aws").values()
    return tuple(it for provider in providers for it in json.loads(provider.inputs["allowedAccountIds"]))


def entries(graph: Graph) -> list[Entry]:
    """All entries that the stack's ExternalSecrets read, by name."""
    found: dict[str, Entry] = {}
    for spec, random in _specs(graph):
        for item in spec["data"]:
            name, key = item["remoteRef"]["key"], item["remoteRef"]["property"]
            known = found.get(name, Entry(name, (), (), ()))
            found[name] = Entry(
                name,
                _with(known.secrets, spec["target"]["name"]),
                _with(known.keys, key),
                _with(known.random, key) if key in random else known.random,
            )
    return [found[name] for name in sorted(found)]


def _specs(graph: Graph) -> Iterator[tuple[Mapping[str, Any], frozenset[str]]]:
    for resource in graph.by_type(_EXTERNAL).values():
        annotations = resource.inputs["metadata"].get("annotations", {})
        yield resource.inputs["spec"], frozenset(annotations.get(RANDOM, "").split(",")) - {""}


def _with(items: tuple[str, ...], item: str) -> tuple[str, ...]:
    return items if item in items else (*items, item)


def connect(region: str, accounts: Sequence[str]) -> SecretsManager:
    """AWS Secrets Manager, with the credentials that AWS's tools find.

    Args:
        region: Where it is.
        accounts: Those of the stack; with another's credentials, its secrets would be where nobody looks.

    Raises:
        PlatformError: boto3 is not there, or the credentials are none or another account's.
    """
    try:
        import boto3  # noqa: PLC0415 - optional: nothing else of mcpctl needs it
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above
    except ImportError as error:
        raise PlatformError(
            "this needs boto3, AWS's library for Python",
            hint="pip install boto3, or use the AWS CLI as docs/guides/secrets.md shows",
        ) from error
    try:
        found = str(cast("Any", boto3).client("sts", region_name=region).get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as error:
        raise PlatformError(f"AWS: {error}", hint="check AWS credentials") from error
    if found not in accounts:
        raise PlatformError(
            f"the AWS credentials are of account {found}, and the stack is in {' or '.join(accounts)}",
            hint="Nothing was changed. Choose other credentials (AWS_PROFILE), or correct aws.account.",
        )
    return cast("SecretsManager", boto3.client("secretsmanager", region_name=region))  # pyright: ignore[reportUnknownMemberType] - its overloads are one a service


def complete(client: SecretsManager, entry: Entry) -> Done:
    """Make the entry's random values that are missing. What is there is kept.

    Raises:
        PlatformError: AWS refuses, or the entry isn't a JSON object.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above

    try:
        return _complete(client, entry)
    except (BotoCoreError, ClientError) as error:
        raise PlatformError(
            f"{entry.name}: {error}", hint="check AWS credentials, region and rights on this entry"
        ) from error


def _complete(client: SecretsManager, entry: Entry) -> Done:
    there = _read(client, entry.name)
    known = there or {}
    wanted = [key for key in entry.keys if key not in known]
    made = {key: _random() for key in wanted if key in entry.random}
    if made and there is None:
        client.create_secret(Name=entry.name, SecretString=json.dumps(made))
    elif made:
        client.put_secret_value(SecretId=entry.name, SecretString=json.dumps({**known, **made}))
    return Done(tuple(made), tuple(key for key in wanted if key not in made))


def _read(client: SecretsManager, name: str) -> dict[str, Any] | None:
    """The entry's content, or None where there is no entry."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - as above

    try:
        text = client.get_secret_value(SecretId=name).get("SecretString", "")
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
            return None
        raise
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        # Not `from` the error, which quotes the content.
        raise PlatformError(
            f"{name}: is not a JSON object", hint='its value must be like {"password": "…"}'
        ) from None
    return cast("dict[str, Any]", content)


def _random() -> str:
    return "".join(secrets.choice(_CHARACTERS) for _ in range(LENGTH))
