"""The real External Secrets Operator makes prod's Secrets of what `mcpctl secrets create` put into AWS."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from cli.entry_store import complete, entries
from infra.components.redis import access_list, exporter_passwords
from infra.engine.graph import Graph
from infra.engine.kubectl import Kubectl
from infra.engine.manifest import manifests, plain
from tests.cluster.control_plane import control_plane, install_crds
from tests.cluster.operator import MODULE, PINS, build, running
from tests.evaluated import evaluated
from tests.infra.aws.server import REGION, Server
from tests.ports import free_port
from tests.services.gateway.conftest import accepts, redis_program, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.nightly]

NAMESPACE = "mcp-prod"
NAMES = {"gateway-database", "gateway-state-keys", "postgres-auth", "redis-auth"}


@dataclass(frozen=True)
class Site:
    """A control plane whose Secrets come from an AWS account."""

    aws: Any
    kubectl: Kubectl
    log: Path

    def secret(self, name: str) -> dict[str, str]:
        """A Secret's files; none while there is no Secret."""
        found = self.kubectl.get("secret", NAMESPACE, name)
        return {key: base64.b64decode(text).decode() for key, text in found["data"].items()} if found else {}

    def entry(self, name: str) -> dict[str, str]:
        return json.loads(self.aws.get_secret_value(SecretId=f"mcp-platform/prod/{name}")["SecretString"])

    def synchronize(self, name: str, mark: str) -> None:
        """Have the operator look now rather than when the interval is over."""
        self.kubectl.must(
            *("--namespace", NAMESPACE, "annotate", "externalsecret", name, f"look={mark}", "--overwrite")
        )

    def condition(self, name: str) -> Mapping[str, str]:
        found = self.kubectl.get("externalsecret", NAMESPACE, name)
        return (found or {}).get("status", {}).get("conditions", [{}])[0]


@pytest.fixture(scope="module")
def prod() -> Graph:
    return evaluated("prod")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, prod: Graph) -> Iterator[Site]:
    program = build(tmp_path_factory.mktemp("operator"))
    server = Server(tmp_path_factory.mktemp("aws") / "server.log")
    aws = server.client("secretsmanager")
    for entry in entries(prod):
        if brought := complete(aws, entry).missing:  # such as the tokens of others' services
            aws.create_secret(Name=entry.name, SecretString=json.dumps(dict.fromkeys(brought, "brought")))
    environment = {
        "AWS_SECRETSMANAGER_ENDPOINT": server.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
    }
    wanted = ("Namespace", "SecretStore", "ExternalSecret")
    with control_plane(tmp_path_factory.mktemp("plane")) as plane:
        install_crds(plane.kubectl, MODULE, "config/crds/bases/*.io_*.yaml", pins=PINS)
        for kind in wanted:
            plane.kubectl.apply([plain(item.body) for item in manifests(prod) if item.kind == kind])
        with running(program, plane, NAMESPACE, environment) as log:
            site = Site(aws, plane.kubectl, log)
            for name in NAMES:
                wait_for(lambda name=name: site.secret(name), f"Secret {name}", 60)
            yield site
    server.stop()


def test_the_secrets_have_the_files_that_the_program_would_make(site: Site) -> None:
    password = site.entry("redis-auth")["password"]
    found = site.secret("redis-auth")
    assert found["password"] == password
    assert found["users.acl"] == access_list(password)
    assert json.loads(found["exporter.json"]) == json.loads(exporter_passwords(password))
    owner = site.entry("postgres-auth")["password"]
    assert site.secret("postgres-auth") == {"username": "mcp", "password": owner, "database": "mcp"}
    assert site.secret("gateway-database") == site.entry("gateway-database")
    assert site.secret("gateway-state-keys") == site.entry("gateway-state-keys")


def test_redis_lets_in_who_has_the_password_and_nobody_else(site: Site, tmp_path: Path) -> None:
    files = site.secret("redis-auth")
    (tmp_path / "users.acl").write_text(files["users.acl"])
    port = free_port()
    command = [
        redis_program(),
        "--port",
        str(port),
        "--dir",
        str(tmp_path),
        "--aclfile",
        f"{tmp_path}/users.acl",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: accepts(port), "Redis")
        assert redis.Redis(port=port, password=files["password"]).ping()
        for wrong in ("another", None):
            with pytest.raises(redis.AuthenticationError):
                redis.Redis(port=port, password=wrong).ping()
    finally:
        server.terminate()
        server.wait(20)


def test_a_secret_is_labelled_as_the_stacks(site: Site, prod: Graph) -> None:
    copies = {
        item.name: item.inputs["metadata"]
        for item in prod.kubernetes_objects()
        if item.type.endswith(":ExternalSecret") and item.inputs["metadata"]["namespace"] == NAMESPACE
    }
    assert copies.keys() > NAMES
    for name, metadata in copies.items():
        wait_for(lambda name=name: site.secret(name), f"Secret {name}", 60)
        found = site.kubectl.get("secret", NAMESPACE, name)
        assert found
        assert metadata["labels"].items() <= found["metadata"]["labels"].items()


def test_a_new_value_arrives_with_all_that_is_made_of_it(site: Site) -> None:
    entry = {"password": "rotated" * 5}
    site.aws.put_secret_value(SecretId="mcp-platform/prod/redis-auth", SecretString=json.dumps(entry))
    site.synchronize("redis-auth", "rotation")
    wait_for(lambda: site.secret("redis-auth")["password"] == entry["password"], "the new password", 60)
    assert site.secret("redis-auth")["users.acl"] == access_list(entry["password"])


def test_a_secret_stays_when_its_entry_is_gone_and_the_reason_is_told(site: Site) -> None:
    before = site.secret("gateway-database")
    site.aws.delete_secret(SecretId="mcp-platform/prod/gateway-database", ForceDeleteWithoutRecovery=True)
    site.synchronize("gateway-database", "deletion")
    wait_for(lambda: site.condition("gateway-database").get("status") == "False", "the failure", 60)
    assert site.secret("gateway-database") == before


def test_no_value_is_in_objects_or_in_the_operators_log(site: Site) -> None:
    shown = site.log.read_text() + site.kubectl.must(
        "get", "externalsecrets,secretstores,events", "--all-namespaces", "--output=json"
    )
    values = [text for name in NAMES for text in site.secret(name).values() if len(text) > 10]
    assert len(values) >= 4
    assert [re.sub(r"(?<=...).", "x", text) for text in values if text in shown] == []
