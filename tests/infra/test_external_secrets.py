"""With External Secrets, no secret is in the program: what the stack then declares, and what it may read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.engine.graph import Graph, Resource
from infra.labels import RANDOM
from infra.naming import OWN_SECRETS
from tests.evaluated import evaluated
from tests.infra.variants import evaluate_prod_with, without

Spec = Mapping[str, Any]


def of_kind(graph: Graph, kind: str) -> dict[str, Resource]:
    return {item.name: item for item in graph.kubernetes_objects() if item.type.endswith(f":{kind}")}


BACKENDS = {"logs-backend", "traces-backend"}
"""Tokens of others, which prod's settings name."""


def specs(graph: Graph) -> dict[str, Spec]:
    return {name: item.inputs["spec"] for name, item in of_kind(graph, "ExternalSecret").items()}


@pytest.fixture(scope="module")
def prod() -> Graph:
    return evaluated("prod", dry_run=False)


@pytest.fixture(scope="module")
def generating(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The same stack without External Secrets."""
    folder = without(tmp_path_factory.mktemp("generating"), "prod", "external_secrets")
    made = evaluated("prod", project=folder)
    outputs = {item.urn: {"result": f"made-{item.name}"} for item in made.resources if "random:" in item.type}
    return evaluated("prod", project=folder, dry_run=False, generated=outputs)


def test_the_program_makes_and_holds_no_secret(prod: Graph) -> None:
    assert [item.urn for item in prod.resources if item.type.startswith(("random:", "tls:"))] == []
    assert of_kind(prod, "Secret") == {}


def test_every_secret_that_would_be_generated_is_copied_with_the_same_files(
    prod: Graph, generating: Graph
) -> None:
    generated = {
        name: set(item.inputs["stringData"].value) for name, item in of_kind(generating, "Secret").items()
    }
    copied = {
        name: set(spec["target"]["template"].get("data") or [item["secretKey"] for item in spec["data"]])
        for name, spec in specs(prod).items()
        if name not in BACKENDS
    }
    assert generated == copied
    assert specs(prod).keys() - copied.keys() == BACKENDS
    assert set(generated) < OWN_SECRETS
    labels = {name: item.inputs["metadata"]["labels"] for name, item in of_kind(generating, "Secret").items()}
    assert labels == {
        name: spec["target"]["template"]["metadata"]["labels"]
        for name, spec in specs(prod).items()
        if name not in BACKENDS
    }


def test_development_declares_no_other_secrets_than_those_that_are_reserved() -> None:
    assert set(of_kind(evaluated("dev"), "Secret")) <= OWN_SECRETS


def test_each_copy_names_its_entry_and_stays_when_that_is_gone(prod: Graph) -> None:
    for name, spec in specs(prod).items():
        assert spec["secretStoreRef"] == {"kind": "SecretStore", "name": "secrets-manager"}
        assert spec["refreshInterval"] == "60m"
        assert (spec["target"]["creationPolicy"], spec["target"]["deletionPolicy"]) == ("Owner", "Retain")
        assert spec["target"]["name"] == name
        for item in spec["data"]:
            wanted = {"key": f"mcp-platform/prod/{name}", "property": item["secretKey"]}
            assert item["remoteRef"] == wanted
    (store,) = of_kind(prod, "SecretStore").values()
    assert store.inputs["spec"] == {
        "provider": {"aws": {"service": "SecretsManager", "region": "eu-central-1"}}
    }


def test_each_copy_says_which_of_its_values_are_random(prod: Graph) -> None:
    found = of_kind(prod, "ExternalSecret")
    marked = {
        name: item.inputs["metadata"].get("annotations", {}).get(RANDOM, "").split(",")
        for name, item in found.items()
    }
    keys = {name: [it["secretKey"] for it in spec["data"]] for name, spec in specs(prod).items()}
    assert marked == keys | {name: [""] for name in BACKENDS}
    assert marked["gateway-state-keys"] == ["first"]


def test_the_role_may_read_the_stacks_entries_and_no_others(prod: Graph) -> None:
    assert readable(prod) == ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:mcp-platform/prod/*"]


def readable(graph: Graph) -> list[str]:
    policies = [item for item in graph.resources if item.type.endswith(":RolePolicy")]
    return [
        resource
        for item in policies
        for statement in json.loads(item.inputs["policy"])["Statement"]
        for resource in (
            [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]
        )
        if ":secretsmanager:" in resource
    ]


MANAGED = {
    "redis": {
        "mode": "external",
        "host": "cache.example",
        "cidrs": ["10.0.0.0/24"],
        "password": {"name": "cache", "key": "token"},
    },
    "postgres": {
        "mode": "external",
        "host": "db.example",
        "cidrs": ["10.0.1.0/24"],
        "credentials": "database-owner",
    },
    "secrets": {
        "cache": {"keys": ["token"]},
        "database-owner": {"keys": ["username", "password"], "entry": "rds!db-1"},
    },
}


def managed(folder: Path, **external: Any) -> Graph:
    more = {"secrets": MANAGED["secrets"], **external}
    return evaluate_prod_with(
        folder, redis=MANAGED["redis"], postgres=MANAGED["postgres"], external_secrets=more
    )


def test_secrets_that_settings_name_are_copied_too(tmp_path: Path) -> None:
    graph = managed(tmp_path)
    found = specs(graph)
    own = {"gateway-database", "gateway-state-keys", "logs-backend"}
    assert set(found) == {"cache", "database-owner", *own}
    references = {name: [item["remoteRef"] for item in spec["data"]] for name, spec in found.items()}
    assert references["cache"] == [{"key": "mcp-platform/prod/cache", "property": "token"}]
    assert references["database-owner"] == [
        {"key": "rds!db-1", "property": key} for key in ("username", "password")
    ]
    assert [arn.rpartition(":")[2] for arn in readable(graph)] == ["mcp-platform/prod/*", "rds!db-1-??????"]


def test_the_operator_of_postgres_hears_of_a_changed_password(prod: Graph) -> None:
    """https://cloudnative-pg.io/docs/1.30/labels_annotations: it looks at Secrets with this label."""
    template = specs(prod)["postgres-auth"]["target"]["template"]
    assert template["type"] == "kubernetes.io/basic-auth"
    assert template["metadata"]["labels"]["cnpg.io/reload"] == "true"


def test_a_store_of_the_cluster_is_used_as_it_is(tmp_path: Path) -> None:
    graph = managed(tmp_path, store={"name": "vault"}, prefix="teams/mcp/", refresh_minutes=5)
    assert of_kind(graph, "SecretStore") == {}
    assert readable(graph) == []
    for name, spec in specs(graph).items():
        assert spec["secretStoreRef"] == {"kind": "ClusterSecretStore", "name": "vault"}
        assert spec["refreshInterval"] == "5m"
        entry = "rds!db-1" if name == "database-owner" else f"teams/mcp/prod/{name}"
        assert {item["remoteRef"]["key"] for item in spec["data"]} == {entry}


def test_templates_come_to_what_the_program_makes(prod: Graph, generating: Graph) -> None:
    """The operator itself renders them in the nightly tests; this holds the text to the program's."""
    made = of_kind(generating, "Secret")["redis-auth"].inputs["stringData"].value
    templates = specs(prod)["redis-auth"]["target"]["template"]["data"]
    digest = hashlib.sha256(b"made-redis-auth").hexdigest()
    assert made["users.acl"] == re.sub(r"{{ \.password \| sha256sum }}", digest, templates["users.acl"])
    assert templates["exporter.json"] == '{{ dict "redis://127.0.0.1:6379" .password | toRawJson }}'
    assert json.loads(made["exporter.json"]) == {"redis://127.0.0.1:6379": "made-redis-auth"}
    assert templates["password"] == '{{ index . "password" }}'
    fixed = specs(prod)["postgres-auth"]["target"]["template"]["data"]
    assert (fixed["username"], fixed["database"]) == ("mcp", "mcp")
