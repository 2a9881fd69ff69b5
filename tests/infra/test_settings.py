from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from infra.errors import PlatformError
from infra.settings import Settings, parse
from infra.settings.groups import ExternalRedis, Store
from infra.settings.servers import FilesystemServer, ModuleServer
from infra.settings.workloads import Autoscaling

Configure = Callable[..., Settings]

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
OTHER_CURVE = (
    ed25519.Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
DIGEST = "@sha256:" + "0" * 64
ISSUER = {"name": "corporate", "issuer": "https://login.example.com/", "public_key": PUBLIC}
EXTERNAL = {"mode": "external", "host": "db.example.com", "cidrs": ["10.1.0.0/24"]}

EXTERNAL_REDIS = {**EXTERNAL, "password": {"name": "cache", "key": "token"}}
EXTERNAL_POSTGRES = {**EXTERNAL, "credentials": "database-owner"}


def server(**keys: Any) -> dict[str, Any]:
    return {"files": {"kind": "filesystem", **keys}}


def problems(configure: Configure, **groups: Any) -> list[str]:
    with pytest.raises(PlatformError) as caught:
        configure(**groups)
    return str(caught.value).split("\n")


WRONG = yaml.safe_load((Path(__file__).parent / "wrong_settings.yaml").read_text())


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case["says"].split(":")[0][:60])
def test_wrong_configuration_is_one_line_that_says_what_is_allowed(
    configure: Configure, case: dict[str, Any]
) -> None:
    (line,) = problems(configure, **case["config"])
    pattern = re.escape(f"stack dev: {case['says']}").replace("…", ".*")
    assert re.fullmatch(pattern, line)


PRODUCTION = {
    "environment": "production",
    "auth": {"audience": "https://x/mcp", "issuers": [ISSUER]},
    "cluster": {"context": "prod"},
    "images": {"registry": "registry.example/mcp", "push": True},
    "redis": {"mode": "in-cluster", "replication": {}},
    "postgres": {"mode": "in-cluster", "replication": {}},
}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({"auth": {"audience": "https://x/mcp", "dev_issuer": True}}, "auth.dev_issuer = true: must be"),
        ({"auth": {"audience": "http://x/mcp", "issuers": [ISSUER]}}, "auth.audience = "),
        ({"cluster": {"embedded": "default"}}, 'cluster.embedded = "default": is one machine'),
        ({"images": {}}, "images.push = false: must be true in production"),
        ({"redis": {**EXTERNAL_REDIS, "tls": False}}, "redis.tls = false: must be true in production"),
        ({"postgres": {**EXTERNAL_POSTGRES, "tls": False}}, "postgres.tls = false: must be true in prod"),
    ],
)
def test_what_is_fit_for_development_only_is_refused_in_production(
    configure: Configure, groups: dict[str, Any], expected: str
) -> None:
    assert configure(**PRODUCTION).production
    (line,) = problems(configure, **{**PRODUCTION, **groups})
    assert line.startswith(f"stack dev: {expected}")


@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_production_has_replicated_stores_or_says_that_one_server_will_do(
    configure: Configure, store: str
) -> None:
    alone = {"mode": "in-cluster"}
    (line,) = problems(configure, **{**PRODUCTION, store: alone})
    assert line.startswith(f"stack dev: {store}.replication: must be set in production")
    assert configure(**{**PRODUCTION, store: {**alone, "single": True}}).production
    both = {**alone, "replication": {}, "single": True}
    (line,) = problems(configure, **{**PRODUCTION, store: both})
    assert line.startswith(f"stack dev: {store}.single = true: must be left out")


def test_two_instances_of_postgres_are_too_few_for_production(configure: Configure) -> None:
    two = {"mode": "in-cluster", "replication": {"instances": 2}}
    assert configure(postgres=two)
    (line,) = problems(configure, **{**PRODUCTION, "postgres": two})
    assert line.startswith("stack dev: postgres.replication.instances = 2: must be 3 or more")


def test_an_archive_needs_a_bucket_that_keeps_for_longer(configure: Configure) -> None:
    def archived(**archive: Any) -> dict[str, Any]:
        kept = {"cidrs": ["10.1.0.0/24"], **archive}
        return {"mode": "in-cluster", "replication": {"archive": kept}}

    (line,) = problems(configure, **{**PRODUCTION, "postgres": archived()})
    assert line.startswith("stack dev: postgres.replication.archive: needs aws")
    registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/mcp"
    account = {"region": "eu-central-1", "account": "123456789012", "cluster": "prod"}
    on_aws = {**PRODUCTION, "images": {"registry": registry, "push": True}, "aws": account}
    assert configure(**{**on_aws, "postgres": archived(retention_days=34)})
    (line,) = problems(configure, **{**on_aws, "postgres": archived(retention_days=35)})
    assert line.startswith("stack dev: postgres.replication.archive.retention_days = 35: must be less than")


def test_every_problem_is_reported_at_once(configure: Configure) -> None:
    found = problems(
        configure, gateway={"replicas": "x", "colour": 1}, servers={"a": {}}, redis={"mode": "none"}
    )
    assert len(found) == 4
    assert all(line.startswith("stack dev: ") for line in found)


@pytest.mark.parametrize(
    "groups",
    [
        {"servers": server(env={"DB_PASSWORD": "hunter2"})},
        {"servers": server(env={"GITHUB_TOKEN": "hunter2"})},
        {"servers": server(secret_env={"X": "hunter2"})},
        {"redis": {**EXTERNAL, "password": "hunter2"}},
        {"redis": {**EXTERNAL, "password": {"name": "a", "key": "b", "value": "hunter2"}}},
        {"passwords": {"redis": "hunter2"}},
        {"auth": {"audience": "https://user:hunter2@x/mcp", "dev_issuer": True}},
        {"gatway": {"password": "hunter2"}},
        {"gateway": {"expose": [{"password": "hunter2"}]}},
    ],
)
def test_no_secret_is_ever_shown(configure: Configure, groups: dict[str, Any]) -> None:
    assert all("hunter2" not in line for line in problems(configure, **groups))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "auth.issuers[0].public_key"),
        ({"public_key": PUBLIC, "jwks_uri": "https://a.example/keys"}, "auth.issuers[0].public_key"),
        ({"jwks_uri": "https://a.example/keys"}, "auth.issuers[0].cidrs"),
        ({"jwks_uri": "http://a.example/keys", "cidrs": ["198.51.100.0/24"]}, "auth.issuers[0].jwks_uri"),
        ({"jwks_uri": "https://a.example:8443/k", "cidrs": ["198.51.100.0/24"]}, "auth.issuers[0].jwks_uri"),
        ({"public_key": PUBLIC, "cidrs": ["198.51.100.0/24"]}, "auth.issuers[0].cidrs"),
    ],
)
def test_an_issuers_keys_come_one_way(configure: Configure, keys: dict[str, Any], expected: str) -> None:
    issuers = [{"name": "corporate", "issuer": "https://login.example.com/", **keys}]
    (line,) = problems(configure, auth={"audience": "https://x/mcp", "issuers": issuers})
    assert line.startswith(f"stack dev: {expected}")


def test_a_private_key_where_the_public_one_belongs_is_not_shown(configure: Configure) -> None:
    issuers = [{**ISSUER, "public_key": PRIVATE}]
    (line,) = problems(configure, auth={"audience": "https://x/mcp", "issuers": issuers})
    assert line.startswith("stack dev: auth.issuers[0].public_key = (hidden): must be the public key")


def test_what_pulumi_marks_secret_is_not_shown() -> None:
    configured = {"mcp-platform:environment": "hunter2", "mcp-platform:quota": json.dumps({"cpu": 77})}
    with pytest.raises(PlatformError) as caught:
        parse("dev", configured, frozenset(configured))
    assert "environment = (hidden): must be 'development' or 'production'" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "77" not in str(caught.value)


def test_a_misspelt_namespace_is_noticed_and_other_providers_are_let_be(configure: Configure) -> None:
    with pytest.raises(
        PlatformError, match="mcp-platfrom:gateway: unknown namespace; did you mean mcp-platform"
    ):
        parse("dev", {"mcp-platfrom:gateway": "{}", "aws:region": "eu-central-1"})
    (line, *_) = problems(configure, environment=None)
    assert "aws" not in line


def test_an_error_says_that_nothing_happened_and_which_file_to_correct(configure: Configure) -> None:
    with pytest.raises(PlatformError) as caught:
        configure(gateway={"replicas": "x"})
    assert "Nothing was changed" in caught.value.hint
    assert "Pulumi.dev.yaml" in caught.value.hint


def test_what_is_left_out_has_a_sensible_value(configure: Configure) -> None:
    settings = configure(
        servers={"files": {"kind": "filesystem"}, "echo": {"kind": "module", "module": "echo"}}
    )
    assert (settings.gateway.least, settings.gateway.budgeted) == (1, False)
    assert isinstance(settings.servers["files"], FilesystemServer)
    assert isinstance(settings.servers["echo"], ModuleServer)
    assert isinstance(settings.redis, Store)
    assert settings.cluster.context_name == "mcp-default"


def test_autoscaling_has_the_required_range_and_targets() -> None:
    scaling = Autoscaling()
    assert (scaling.min, scaling.max, scaling.cpu, scaling.memory) == (3, 10, 70, 80)


def test_an_external_store_needs_no_storage(configure: Configure) -> None:
    settings = configure(redis={**EXTERNAL, "password": {"name": "redis", "key": "password"}})
    assert isinstance(settings.redis, ExternalRedis)
    assert (settings.redis.port, settings.redis.tls) == (6379, True)


def test_two_replicas_have_a_budget_unless_told_otherwise(configure: Configure) -> None:
    assert configure(gateway={"replicas": 2}).gateway.budgeted
    assert not configure(gateway={"replicas": 2, "disruption_budget": False}).gateway.budgeted


def test_settings_do_not_change(configure: Configure) -> None:
    settings = configure()
    with pytest.raises(ValidationError, match="frozen"):
        settings.gateway.replicas = 5  # pyright: ignore[reportAttributeAccessIssue] - that it fails is the point


KEYS = st.sampled_from(
    [
        "kind",
        "mode",
        "filesystem",
        "external",
        "replicas",
        "autoscaling",
        "resources",
        "requests",
        "cpu",
        "volume",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | KEYS, inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(group=st.sampled_from(sorted(Settings.model_fields)), value=JSON)
def test_whatever_is_in_a_stack_file_the_answer_is_settings_or_lines(
    configure: Configure, group: str, value: Any
) -> None:
    lines: list[str] = []
    try:
        configure(**{group: value})
    except PlatformError as error:
        lines = str(error).split("\n")
    assert all(line.startswith("stack dev: ") for line in lines)


def test_a_key_can_not_forge_a_line(configure: Configure) -> None:
    (line,) = problems(configure, gateway={"a\nstack dev: all is well": 1})
    assert line.startswith('stack dev: gateway."a\\nstack dev: all is well" = 1: unknown key')
