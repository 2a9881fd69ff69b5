"""Configuration: every mistake is one line that says what, where and what is allowed; nothing starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.gateway.config import GatewayConfig
from services.gateway.config_file import ConfigError, load_config

GOOD: dict[str, Any] = {
    "listen": {"host": "127.0.0.1"},
    "auth": "none",
    "servers": [{"name": "files", "urls": ["http://127.0.0.1:9001/mcp"]}],
}
TOKENS = {
    "audience": "https://gateway.test/mcp",
    "issuers": [{"issuer": "https://issuer.test", "public_key_file": "/x.pem"}],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def load(file: Path, **changes: Any) -> Any:
    file.write_text(yaml.safe_dump({**GOOD, **changes}))
    return load_config(file)


POSTGRES = {"host": "postgres", "database": "mcp", "user": "gateway"}
KUBERNETES = {"issuer": "https://i.test", "kubernetes": {}}


def auth(**keys: Any) -> dict[str, Any]:
    return {"audience": "https://x", "issuers": [{"issuer": "https://i.test", **keys}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"listen": {"prot": 1}}, "listen.prot is not a setting; allowed: host, ops_port, port"),
        (
            {"lisen": {}},
            f"lisen is not a setting; allowed: {', '.join(sorted(GatewayConfig.model_fields))}",
        ),
        ({"listen": {"port": 70000}}, "listen.port = 70000: must be less than or equal to 65535"),
        ({"listen": {"port": "many"}}, "listen.port = 'many': must be a valid integer"),
        ({"listen": 5}, "listen = 5: must be a mapping"),
        (
            {"requests": {"deadline_seconds": 10}},
            "requests.deadline_seconds is 10, less than upstream.timeout_seconds, 30: requests would end",
        ),
        (
            {"search": {"list_all": True, "always_listed": ["a"]}},
            "always_listed has no meaning with list_all: true",
        ),
        ({"search": {"max_results": 101}}, "search.max_results = 101: must be less than or equal to 100"),
        ({"listen": {"host": "0.0.0.0"}}, "auth: none is allowed where only this machine can connect"),
        ({"auth": None}, "auth = None: must be a mapping"),
        ({"auth": "off"}, "auth = 'off': must be 'none'"),
        (
            {"auth": {**TOKENS, "audience": "gateway"}},
            "auth.audience = 'gateway': must be an absolute http(s) URL",
        ),
        ({"auth": {**TOKENS, "issuers": []}}, "auth.issuers = []: "),
        (
            {"auth": {**TOKENS, "secret": 1}},
            "auth.secret is not a setting; allowed: audience, group_claims, issuers",
        ),
        (
            {"auth": {"audience": "https://a/mcp", "issuers": [{"issuer": "https://i"}]}},
            "exactly one of 'public_key_file', 'jwks' and 'kubernetes' is needed",
        ),
        ({"servers": []}, "exactly one of 'discovery' and 'servers' is needed"),
        ({"discovery": {"kubernetes": {"namespace": "x"}}}, "exactly one of 'discovery' and 'servers'"),
        (
            {"servers": [{"name": "A_b", "urls": ["http://x/mcp"]}]},
            "servers.0.name = 'A_b': must be lower-case",
        ),
        (
            {"servers": [{"name": "a", "urls": ["ftp://x"]}]},
            "servers.0.urls.0 = 'ftp://x': must be an absolute",
        ),
        ({"servers": GOOD["servers"] * 2}, "'files' is there twice"),
        (
            {"names": "plain", "servers": [*GOOD["servers"], {"name": "b", "urls": ["http://x/mcp"]}]},
            "names: plain needs exactly one server",
        ),
        (
            {"names": "plain", "servers": [], "discovery": {"kubernetes": {"namespace": "x"}}},
            "names: plain needs exactly one server",
        ),
        (
            {"auth": auth(jwks={"uri": "http://idp.test/keys"})},
            "auth.issuers.0.jwks.uri = 'http://idp.test/keys': must be https",
        ),
        (
            {"auth": auth(jwks={"uri": "https://a@idp.test/keys"})},
            "must be an absolute http(s) URL without user name",
        ),
        ({"auth": auth()}, "exactly one of 'public_key_file', 'jwks' and 'kubernetes' is needed"),
        (
            {"auth": auth(public_key_file="a.pem", kubernetes={})},
            "exactly one of 'public_key_file', 'jwks' and 'kubernetes' is needed",
        ),
        (
            {"auth": {"audience": "https://x", "issuers": [KUBERNETES, KUBERNETES]}},
            "'https://i.test' is there twice; only key files may be several",
        ),
        ({"audit": {}}, "audit.sink: postgres needs 'postgres'; set it, or audit.sink to 'log'"),
        ({"postgres": {**POSTGRES, "user": "a; DROP"}}, "postgres.user = 'a; DROP': string should match"),
        ({"upstream": {"timeout_seconds": 0}}, "upstream.timeout_seconds = 0: must be greater than 0"),
        (
            {"content": {"leak_kinds": ["aws"]}},
            "content.leak_kinds.0 = 'aws': must be one of aws-access-key, aws-secret-key, github-token",
        ),
        (
            {"content": {"leak_patterns": [{"name": "x", "pattern": "(a+)+"}]}},
            "content.leak_patterns.0.pattern = '(a+)+': must begin with 3 or more letters",
        ),
        (
            {"content": {"tools": [{"match": "a", "leaks": "hide"}]}},
            "content.tools.0.leaks = 'hide': must be 'off', 'redact' or 'block'",
        ),
        ({"log_level": "loud"}, "log_level = 'loud': must be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_mistakes(file: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file, **changes)
    text = str(caught.value)
    assert text.startswith(f"{file}: ")
    assert message in text
    assert "\n" not in text


def test_a_missing_setting(file: Path) -> None:
    file.write_text("listen: {host: 127.0.0.1}")
    with pytest.raises(ConfigError, match=r"config\.yaml: auth is missing"):
        load_config(file)


@pytest.mark.parametrize("content", ["a: [", "- 1", "text", "1: 2", "\x00"])
def test_files_that_are_no_mapping(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(ConfigError, match=str(file)):
        load_config(file)


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(file)


def test_the_environment_wins_and_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_GATEWAY_LISTEN__PORT", "8181")
    config = load(file)
    assert (config.listen.port, config.listen.host) == (8181, "127.0.0.1")
    monkeypatch.setenv("MCP_GATEWAY_LISTEN__PORT", "no")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert str(caught.value).startswith("environment variable MCP_GATEWAY_LISTEN__PORT: listen.port = 'no': ")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.gateway", *arguments]
    return subprocess.run(
        command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_process_ends_with_2_and_one_line(file: Path) -> None:
    file.write_text(yaml.safe_dump({**GOOD, "listen": {"port": 1}}))
    result = run("--config", str(file))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"mcp-gateway: {file}: auth: none is allowed")
    assert result.stderr.count("\n") == 1


def test_a_key_that_is_none(file: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("nonsense")
    issuers = [{"issuer": "https://issuer.test", "public_key_file": str(key)}]
    file.write_text(yaml.safe_dump({**GOOD, "auth": {**TOKENS, "issuers": issuers}}))
    result = run("--config", str(file))
    assert result.returncode == 2
    assert result.stderr == f"mcp-gateway: public key file {key}: no PEM public key\n"


def test_a_port_in_use(file: Path, gateway: Any) -> None:
    port = int(gateway.url.rpartition(":")[2])
    file.write_text(yaml.safe_dump({**GOOD, "listen": {"host": "127.0.0.1", "port": port}}))
    result = run("--config", str(file))
    assert result.returncode == 2
    assert result.stderr == f"mcp-gateway: can't listen on 127.0.0.1 port {port}: Address already in use\n"


def test_discovery_outside_of_a_pod(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    settings = {
        "listen": GOOD["listen"],
        "auth": "none",
        "discovery": {"kubernetes": {"namespace": "mcp-dev"}},
    }
    file.write_text(yaml.safe_dump(settings))
    result = run("--config", str(file))
    assert result.returncode == 2
    assert "KUBERNETES_SERVICE_HOST is not set" in result.stderr


def test_checking_only(file: Path) -> None:
    file.write_text(yaml.safe_dump(GOOD))
    assert run("--config", str(file), "--check").stdout == f"{file}: ok\n"
