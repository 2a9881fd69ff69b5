"""A canary in every place that a secret can come from shows up nowhere that people or Git see.

Where the program makes the secrets, the canaries are what it made; where a store has them, they are in the
store; and a stack's configuration may hold some, encrypted.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cli.entries
from cli.app import app
from cli.entry_store import Entry, complete
from infra.engine import plan
from infra.engine.check import check
from infra.engine.direct import PACK
from infra.engine.generate import GENERATORS
from infra.engine.graph import Graph, Secret
from infra.engine.manifest import manifests
from infra.engine.plan import is_outside
from infra.engine.render import missing, write_chart, write_tree
from infra.errors import PlatformError
from infra.settings import Settings, parse
from tests.evaluated import evaluated
from tests.infra.aws.server import Server
from tests.infra.variants import without

MARK = "canary7Kx2"
MADE = {
    *("gateway-database", "gateway-state-keys-first", "postgres-auth"),
    *("redis-auth", "redis-replication", "token-issuer"),
}
"""What the program makes at random, in one stack or the other."""
OUTPUTS: list[str] = ["result", "privateKeyPem", "publicKeyPem"]


def traces(text: str) -> list[str]:
    """What of the canaries is in a text: themselves, their base64 or their hash."""
    canaries = {MARK, *(base64.b64encode(b"x" * shift + MARK.encode()).decode()[4:-4] for shift in range(3))}
    hashes = {
        algorithm(f"{MARK}{name}".encode()).hexdigest()
        for name in MADE
        for algorithm in (hashlib.sha256, hashlib.sha1, hashlib.md5)
    }
    return [item for item in {*canaries, MARK.encode().hex(), *hashes} if item in text]


def shown(value: object) -> Any:
    """Data as it is written down, without what is marked secret."""
    if isinstance(value, Secret):
        return "[secret]"
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return repr(value)


def hidden(value: object) -> Iterator[object]:
    """All that is marked secret."""
    if isinstance(value, Secret):
        yield value.value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from hidden(item)


@pytest.fixture(scope="module", params=["dev", "prod"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A stack that makes its secrets itself: all of them are canaries."""
    folder = without(tmp_path_factory.mktemp("stack"), request.param, "external_secrets")
    planned = evaluated(request.param, project=folder)
    canaries = {
        item.urn: dict.fromkeys(OUTPUTS, f"{MARK}{item.name}")
        for item in planned.resources
        if item.type in GENERATORS
    }
    assert canaries
    assert {item.name for item in planned.resources if item.type in GENERATORS} <= MADE, "name it in MADE"
    return evaluated(request.param, project=folder, dry_run=False, generated=canaries)


def test_what_is_made_is_in_the_graph_only_where_it_is_marked_secret(made: Graph) -> None:
    inputs = {item.urn: dict(item.inputs) for item in made.resources}
    assert traces(json.dumps([list(map(str, hidden(inputs)))])), "the canaries are there"
    assert traces(json.dumps(shown(inputs))) == []
    assert traces(json.dumps(shown(dict(made.outputs)))) == []


def test_what_is_made_is_in_no_file_that_is_rendered(made: Graph, tmp_path: Path) -> None:
    objects = manifests(made)
    write_tree(objects, tmp_path / "tree")
    inside = [item for item in objects if not is_outside(item)]
    write_chart(inside, tmp_path / "chart", name="mcp", description="x")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 2 * 20
    assert [str(path) for path in files if traces(path.read_text()) or traces(path.name)] == []
    assert traces("\n".join(missing(objects))) == []


def test_what_is_made_is_in_no_report(made: Graph, capfd: pytest.CaptureFixture[str]) -> None:
    found = check(made, PACK)
    todo = plan.offline(made.stack, manifests(made))
    assert traces(json.dumps([asdict(item) for item in found], default=str)) == []
    assert traces(json.dumps(todo.as_data(), default=str)) == []
    assert traces("".join(capfd.readouterr())) == []


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("aws") / "server.log")
    yield server
    server.stop()


def giving(graph: Graph) -> Callable[[str], Graph]:
    """Instead of `record`, for commands that would evaluate the program once more."""
    return lambda _stack: graph


@pytest.fixture(scope="module")
def recorded() -> Graph:
    return evaluated("prod")


@pytest.fixture
def prod(monkeypatch: pytest.MonkeyPatch, aws: Server, recorded: Graph) -> Graph:
    """The stack whose secrets are in an account; mcpctl finds it there."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr(cli.entries, "record", giving(recorded))
    return recorded


def test_entries_of_the_store_are_completed_and_never_shown(prod: Graph, aws: Server) -> None:
    client = aws.client("secretsmanager")
    known = {"password": f"{MARK}redis-auth"}
    client.create_secret(Name="mcp-platform/prod/redis-auth", SecretString=json.dumps(known))
    listed = CliRunner().invoke(app, ["secrets", "list", "--stack", "prod"])
    made = CliRunner().invoke(app, ["secrets", "create", "--stack", "prod"])
    again = CliRunner().invoke(app, ["secrets", "create", "--stack", "prod"])
    assert [it.exit_code for it in (listed, made, again)] == [0, 0, 0]
    values = content(aws)
    assert values["redis-auth"] == known, "what is there is kept"
    assert set(values) >= {"gateway-database", "gateway-state-keys", "postgres-auth", "redis-auth"}
    assert {len(text) for name, it in values.items() if name != "redis-auth" for text in it.values()} == {48}
    printed = listed.output + made.output + again.output
    assert "mcp-platform/prod/postgres-auth: made password" in made.output
    assert "made" not in again.output.replace("evaluate", "")
    assert [text for it in values.values() for text in it.values() if text in printed] == []
    assert traces(json.dumps(shown({item.urn: dict(item.inputs) for item in prod.resources}))) == []


def test_entries_are_made_in_the_stacks_account_only(
    monkeypatch: pytest.MonkeyPatch, prod: Graph, aws: Server
) -> None:
    before = content(aws)
    providers = [it for it in prod.resources if it.type == "pulumi:providers:aws"]
    elsewhere = [
        replace(it, inputs={**it.inputs, "allowedAccountIds": '["987654321098"]'}) for it in providers
    ]
    others = [it for it in prod.resources if it not in providers]
    monkeypatch.setattr(cli.entries, "record", giving(Graph("p", "prod", (*elsewhere, *others), {})))
    refused = CliRunner().invoke(app, ["secrets", "create", "--stack", "prod"])
    assert isinstance(refused.exception, PlatformError)
    assert "are of account 123456789012, and the stack is in 987654321098" in str(refused.exception)
    assert content(aws) == before


def content(aws: Server) -> dict[str, dict[str, str]]:
    client = aws.client("secretsmanager")
    names = [item["Name"] for item in client.list_secrets()["SecretList"]]
    values = {name: client.get_secret_value(SecretId=name)["SecretString"] for name in names}
    return {name.rpartition("/")[2]: json.loads(text) for name, text in values.items()}


def test_a_new_key_is_added_to_an_entry_and_what_is_the_users_is_left_to_them(aws: Server) -> None:
    client = aws.client("secretsmanager")
    client.create_secret(Name="x/keys", SecretString=json.dumps({"first": MARK}))
    done = complete(client, Entry("x/keys", ("keys",), ("first", "second", "licence"), ("first", "second")))
    assert (done.made, done.missing) == (("second",), ("licence",))
    found = json.loads(client.get_secret_value(SecretId="x/keys")["SecretString"])
    assert found["first"] == MARK
    assert len(found["second"]) == 48
    client.delete_secret(SecretId="x/keys", ForceDeleteWithoutRecovery=True)


@pytest.mark.parametrize("text", [MARK, f'"{MARK}"', f'{{"password": "{MARK}'])
def test_an_entry_of_another_form_is_named_and_not_quoted(aws: Server, text: str) -> None:
    client = aws.client("secretsmanager")
    client.create_secret(Name="x/odd", SecretString=text)
    try:
        with pytest.raises(PlatformError, match="x/odd: is not a JSON object") as caught:
            complete(client, Entry("x/odd", ("odd",), ("password",), ("password",)))
    finally:
        client.delete_secret(SecretId="x/odd", ForceDeleteWithoutRecovery=True)
    assert traces(str(caught.value) + caught.value.hint + repr(caught.value.__cause__)) == []


@pytest.mark.parametrize("key", list(Settings.model_fields))
@pytest.mark.parametrize("value", [MARK, f'{{"{MARK[:3]}": "{MARK}"}}', f'{{"{MARK}'])
def test_encrypted_configuration_is_not_quoted_by_errors(key: str, value: str) -> None:
    with pytest.raises(PlatformError) as caught:
        parse("dev", {f"mcp-platform:{key}": value}, frozenset({f"mcp-platform:{key}"}))
    assert traces(f"{caught.value} {caught.value.hint}") == []


def test_a_store_that_is_not_the_stacks_is_left_to_its_own_tools(
    monkeypatch: pytest.MonkeyPatch, prod: Graph
) -> None:
    resources = tuple(item for item in prod.resources if not item.type.endswith(":SecretStore"))
    monkeypatch.setattr(cli.entries, "record", giving(Graph("p", "prod", resources, {})))
    refused = CliRunner().invoke(app, ["secrets", "create", "--stack", "prod"])
    assert "can't write to" in str(refused.exception)
    assert isinstance(refused.exception, PlatformError)


def test_a_stack_that_makes_its_secrets_has_no_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.entries, "record", giving(Graph("p", "dev", (), {})))
    refused = CliRunner().invoke(app, ["secrets", "list", "--stack", "dev"])
    assert "are made by the program" in str(refused.exception)
