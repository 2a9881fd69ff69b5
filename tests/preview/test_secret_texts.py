"""Secrets inside of texts, command lines and what programs print; and what only looks like one."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.comment import text_of
from cli.printed import known_secrets
from infra.comparison.secret_texts import HIDDEN, printed, scrubbed, secret_items, without_tokens
from tests.preview.graphs import REPOSITORY, changes, graph, kubernetes

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIcanary\ncanary=\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        "aws_secret_access_key = canary",
        "x-api-key: canary",
        "Authorization: Bearer canary",
        "tool --db-password canary --host h",
        "redis://user:part@canary@host/0",
        "password: |-\n  line\n  canary\nuser: x",
        r'{"inner": "{\"password\": \"canary\"}"}',
        '{"signing_key": "canary"}',
        f"ghp_{'x' * 36}canary",
        "github_pat_xxxxxxxxxxxxxxxxxxxxxxcanary",
        "sk-ant-xxxxxxxxxxxxxxxxxxxxcanary",
        "ASIAXXXXXXXXXXXXXXXX canary",
        "https://hooks.slack.com/services/canary",
    ],
)
def test_a_secret_inside_of_a_text_is_not_shown(text: str) -> None:
    assert "canary" not in scrubbed(text)


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:secretsmanager:eu-central-1:1:secret:name",
        "docker.io/library/redis@sha256:0123",
        "limits per-token calls",
        "https://example.com/a@b",
        "sum(rate(mcp_tokens_total[5m]))",
    ],
)
def test_what_only_speaks_of_secrets_is_shown(text: str) -> None:
    assert scrubbed(text) == text


SCRIPTS = [
    "PGPASSWORD=canary psql -h db -p 5432",
    "export PGPASSWORD='canary one'; psql",
    "REDISCLI_AUTH=canary redis-cli ping",
    "DB_PASS=canary tool",
    "redis-cli -h redis -a canary ping",
    "valkey-cli --pass canary ping",
    "mysql -uroot -pcanary db | true",
    "mysqldump --password canary",
    "sshpass -p canary ssh -p 22 host",
    "cd / && docker login -u me -p canary host",
    "tool -p 'canary; canary' --verbose",
    'tool -p "canary \\" canary"',
    "env A=1 timeout 5 tool -p canary",
    "curl -u me:canary https://host",
    "curl --user me:canary https://host",
    'curl -H "Authorization: Bearer canary1canary" https://host',
    "tool --token \\\n  canary --verbose",
    "sh -c 'mkdir -p /data && tool -p canary'",
    "redis-server --requirepass canary",
    "port 6379\nrequirepass canary\nmasterauth canary\n",
    "sentinel auth-pass group canary",
    "user default on >canary ~* +@all",
    "redis-cli ACL SETUSER me on '>x' >canary",
    "redis-cli CONFIG SET requirepass canary",
    "psql -c \"ALTER ROLE mcp PASSWORD 'canary'\"",
    "CREATE USER me IDENTIFIED BY 'canary'",
    '{"args": ["--password", "canary"]}',
    '{"args": ["-p", "canary"]}',
    r'{"inner": "[\"--token\", \"canary\"]"}',
    "args:\n  - --password\n  - canary\n",
    "args: [--token, canary]",
    "openssl enc -pass pass:canary",
    "ldapsearch -x -w canary",
    "aws configure set aws_secret_access_key canary",
    "postgres://me:can/ary:canary@host/db",
]


@pytest.mark.parametrize("text", SCRIPTS)
def test_no_password_of_a_command_is_shown(text: str) -> None:
    assert "canary" not in scrubbed(text)
    assert "canary" not in printed(f"Traceback\n{text}\n")


@pytest.mark.parametrize(
    "text",
    [
        "mkdir -p /data/files && cp -p a b",
        "psql -h db -p 5432 -c 'select 1'",
        "/usr/bin/env redis-cli -p 6379 ping",
        "docker run -u 1000:1000 image",
        "tool --password-file /run/secrets/password --token-ttl 60",
        '{"args": ["--host", "db"]}',
        "https://host:8080/a@b",
    ],
)
def test_a_command_without_a_password_is_shown(text: str) -> None:
    assert scrubbed(text) == text


@pytest.mark.parametrize(
    ("words", "hidden"),
    [
        (["tool", "--password", "x", "--host", "h"], {2}),
        (["tool", "--db-password", "-x"], {2}),
        (["--token", "x", "--requirepass", "y"], {1, 3}),
        (["-p", "x"], {1}),
        (["sudo", "tool", "-p", "5432"], {3}),
        (["env", "A=b", "psql", "-p", "5432"], set()),
        (["/bin/mkdir", "-p", "/data"], set()),
        (["tool", "mkdir", "-p", "x"], {3}),
        (["redis-cli", "-a", "x"], {2}),
        (["tool", "-a", "x"], set()),
        (["mysql", "-px", "db"], {1}),
        (["curl", "--user", "me:x"], {2}),
        (["ldapsearch", "-w", "x"], {2}),
        (["aws", "configure", "set", "aws_session_token", "x"], {4}),
        (["redis-server", "/etc/redis.conf", "requirepass", "x"], {3}),
        (["psql", "--no-password", "db"], set()),
        (["--password"], set()),
        ([], set()),
    ],
)
def test_the_item_after_a_flag_is_the_secret(words: list[str], hidden: set[int]) -> None:
    assert secret_items(words) == hidden


def container(**fields: Any) -> Any:
    spec = {"template": {"spec": {"containers": [{"name": "a", **fields}]}}}
    return graph(kubernetes("apps/v1:Deployment", "d", spec))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"args": ["--password", "canary-1"]}, {"args": ["--password", "canary-2"]}),
        ({"args": ["--password", "canary-1"]}, {"args": ["--token", "canary-2", "-v"]}),
        ({"args": ["-v", "plain"]}, {"args": ["-p", "canary"]}),
        ({"args": ["-p", "canary"]}, {"args": ["canary-moved-before", "-p"]}),
        (
            {"command": ["tool", "--token"], "args": ["canary-1"]},
            {"command": ["tool", "--token"], "args": ["canary-2"]},
        ),
        ({"command": ["sh", "-c", "tool -p canary-1"]}, {"command": ["sh", "-c", "tool -p canary-2"]}),
        (
            {"livenessProbe": {"exec": {"command": ["redis-cli", "-a", "canary-1"]}}},
            {"livenessProbe": {"exec": {"command": ["redis-cli", "-a", "canary-2", "ping"]}}},
        ),
        ({}, {"args": ["--requirepass", "canary"]}),
    ],
)
def test_no_diff_shows_an_item_that_is_a_password(old: dict[str, Any], new: dict[str, Any]) -> None:
    (item,) = changes(container(**old), container(**new)).values()
    assert item.changes
    text = repr(item).replace("canary-moved-before", "")  # which stands after no flag there
    assert "canary" not in text
    assert HIDDEN in text


def test_a_port_of_a_program_that_is_named_beside_its_arguments_is_shown() -> None:
    old, new = ({"command": ["psql"], "args": ["-p", port]} for port in ("5432", "5433"))
    (item,) = changes(container(**old), container(**new)).values()
    assert [str(change) for change in item.changes] == [
        "spec.template.spec.containers[a].args[1]: 5432 → 5433"
    ]


def test_items_around_a_password_are_shown() -> None:
    old, new = ({"args": ["--password", "x", "--level", level]} for level in ("info", "debug"))
    (item,) = changes(container(**old), container(**new)).values()
    assert [str(change) for change in item.changes] == [
        "spec.template.spec.containers[a].args[3]: info → debug"
    ]


PRINTED = [
    KEY,
    repr(KEY),
    KEY.partition("-----END")[0],
    "boto: AKIAIOSFODNN7EXAMPLE",
    "key wJalrXUtnFEMI/K7MDENG/bPxRfiCYcanaryXKEY in use",
    "Authorization: Bearer canary",
    "sent 'bearer canary-with-3-digits'",
    "KeyError: 'postgres://me:canary@db/mcp'",
    "{'password': 'canary', 'host': 'db'}",
    "jwt eyJhbGciOi.eyJzdWIi.canary",
]


@pytest.mark.parametrize("text", PRINTED)
def test_what_a_program_prints_has_no_secret_in_it(text: str) -> None:
    shown = printed(f"before\n{text}\n")
    assert "canary" not in shown
    assert "AKIA" not in shown
    assert HIDDEN in shown
    assert shown.startswith("before\n")


@pytest.mark.parametrize(
    "text",
    [
        "error: stack prod: tracing.collector.export.token: not a setting; did you mean tokens?",
        "error: stack prod: password = (hidden): must be longer",
        'File "infra/components/gateway.py", line 87, in build',
        "commit 0123456789abcdef0123456789abcdef01234567 is gone",
        "KeyError: 'token'",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "callers come with bearer tokens",
        "error: Pulumi.prod.yaml:2: expected ',' or ']'",
    ],
)
def test_what_tells_of_an_error_is_shown(text: str) -> None:
    assert printed(text) == text


def test_a_policys_words_are_shown_and_tokens_in_them_are_not() -> None:
    said = "spec.automountServiceAccountToken: true, should be false"
    assert without_tokens(said) == said
    assert without_tokens("image https://me:canary@host/x is not allowed") == (
        f"image https://{HIDDEN}@host/x is not allowed"
    )


def test_secrets_of_stacks_and_the_environment_are_known_however_they_are_printed(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.prod.yaml").write_text(
        "config:\n  p:redisPassword: wor+ds that are one\n  p:pin: 12\n"
        "  p:store: {token: {value: deeper-one, key: the-key}}\n"
    )
    (tmp_path / "Pulumi.broken.yaml").write_text("config: [\n")
    known = known_secrets(tmp_path, {"PULUMI_ACCESS_TOKEN": "from-outside", "PWD": "/usr/bin", "X_TOKEN": ""})
    assert known == {"wor+ds that are one", "deeper-one", "from-outside", ""}
    coded = base64.b64encode(b"from-outside").decode()
    text = f"{coded} wor%2Bds%20that%20are%20one <deeper-one> from-outside the-key /usr/bin"
    assert printed(text, known) == f"{HIDDEN} {HIDDEN} <{HIDDEN}> {HIDDEN} the-key /usr/bin"


def test_the_comment_has_no_secret_that_a_program_printed_at_its_end(tmp_path: Path) -> None:
    log = tmp_path / "prod error.txt"
    log.write_text("x\n" * 5000 + KEY + "\npassword: canary\n")
    shown = text_of([log], 2000)  # what is cut away must not hide where a key begins
    assert "canary" not in shown
    assert HIDDEN in shown


def test_the_filter_of_the_workflow_reads_what_is_no_text_and_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.printed"],
        input=b"\xff --password canary\nlast",
        env={"PYTHONPATH": str(REPOSITORY)},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == f"\N{REPLACEMENT CHARACTER} --password {HIDDEN}\nlast"


@pytest.mark.parametrize(
    "text", ["-" * 50_000, '"' * 50_001, "\\" * 20_000, "password" * 5_000, "-p " * 20_000]
)
def test_no_text_takes_long(text: str) -> None:
    """It ends within the test's own time limit; an expression that backtracks would take years."""
    printed(text)
