"""What mcpctl asks a replicated Postgres.

CloudNativePG can't run here (there is no image of it): a program stands for kubectl, which knows the
operator's labels and runs here what it would run in a pod. The server, its password and psql are real.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.operate import services_with_pods
from infra.engine.database import INSTANCES, ask
from infra.engine.kubectl import Kubectl
from tests.services.conftest import PostgresServer

NAMESPACE = "mcp-prod"
DATABASE = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "postgres", "namespace": NAMESPACE},
    "spec": {
        "instances": 2,
        "bootstrap": {
            "initdb": {
                "owner": PostgresServer.OWNER,
                "database": "postgres",
                "secret": {"name": "postgres-auth"},
            }
        },
    },
}

STAND_IN = """#!{python}
import json, os, sys
from pathlib import Path

folder = Path(__file__).parent
words = sys.argv[3:]  # after --context NAME
with (folder / "called").open("a") as called:
    print(*words, file=called)
if words[0] == "exec":
    os.environ |= json.loads((folder / "environment").read_text())
    assert words[words.index("--container") + 1] == "postgres" and "--stdin" in words
    command = words[words.index("--") + 1 :]
    os.execvp(command[0], command)
if words[1] == "secret":
    file = folder / words[2]
    print(file.read_text() if file.exists() else "", end="")
else:
    wanted = dict(pair.split("=") for word in words if word.startswith("--selector=")
                  for pair in word.partition("=")[2].split(","))
    pods = json.loads((folder / "pods").read_text())
    chosen = [pod for pod in pods if wanted.items() <= pod["metadata"]["labels"].items()]
    print(json.dumps({{"items": chosen}}))
"""


@dataclass
class Place:
    """Where the stand-in finds what there is."""

    folder: Path

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.folder / "kubectl", "context")

    @property
    def called(self) -> str:
        return (self.folder / "called").read_text()

    def put(self, server: PostgresServer, password: str = PostgresServer.PASSWORD) -> None:
        environment = {"PGPORT": str(server.port), "PATH": f"{server.programs}:/usr/bin:/bin"}
        (self.folder / "environment").write_text(json.dumps(environment))
        secret = {"data": {"password": base64.b64encode(password.encode()).decode()}}
        (self.folder / "postgres-auth").write_text(json.dumps(secret))

    def pods(self, **roles: str) -> None:
        made = [pod(name, **{"cnpg.io/instanceRole": role}) for name, role in roles.items()]
        (self.folder / "pods").write_text(json.dumps(made))


def pod(name: str, **labels: str) -> dict[str, Any]:
    operators = {**INSTANCES, "app.kubernetes.io/name": "postgresql"}
    return {"metadata": {"name": name, "labels": {**operators, **labels}}}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    program = tmp_path / "kubectl"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    made = Place(tmp_path)
    made.pods(one="replica", two="primary")
    return made


@pytest.fixture(scope="module")
def server() -> Generator[PostgresServer]:
    made = PostgresServer()
    yield made
    made.remove()


def test_the_primary_answers_its_owner_whose_password_no_list_of_processes_shows(
    place: Place, server: PostgresServer
) -> None:
    place.put(server)
    assert ask(place.kubectl, DATABASE) == (True, "1")
    assert "exec two " in place.called
    assert PostgresServer.PASSWORD not in place.called


def test_a_wrong_password_is_told_in_postgres_own_words(place: Place, server: PostgresServer) -> None:
    place.put(server, "another")
    ok, detail = ask(place.kubectl, DATABASE)
    assert not ok
    assert "password authentication failed" in detail


def test_without_a_primary_or_the_owners_secret_there_is_nobody_to_ask(
    place: Place, server: PostgresServer
) -> None:
    assert ask(place.kubectl, DATABASE) == (
        False,
        "there is no Secret postgres-auth with its owner's password",
    )
    place.put(server)
    place.pods(one="replica")
    assert ask(place.kubectl, DATABASE) == (False, "no instance is the primary")


def test_a_primary_that_takes_no_changes_is_told(place: Place) -> None:
    standby = PostgresServer()
    try:
        standby.stop()
        signal = standby.folder / "data/standby.signal"
        signal.touch()
        os.chown(signal, standby.folder.stat().st_uid, standby.folder.stat().st_gid)
        standby.start()
        place.put(standby)
        assert ask(place.kubectl, DATABASE) == (False, "it takes no changes")
    finally:
        standby.remove()


def test_logs_are_found_by_our_name_and_the_operators(place: Place) -> None:
    job = {"metadata": {"name": "join", "labels": {"cnpg.io/cluster": "postgres"}}}
    gateway = {"metadata": {"name": "g", "labels": {"app.kubernetes.io/name": "gateway"}}}
    (place.folder / "pods").write_text(
        json.dumps([pod("one"), job, gateway, {"metadata": {"name": "x", "labels": {}}}])
    )
    assert services_with_pods(place.kubectl, [NAMESPACE]) == {
        "gateway": (NAMESPACE, "app.kubernetes.io/name=gateway"),
        "postgres": (NAMESPACE, "cnpg.io/cluster=postgres,cnpg.io/podRole=instance"),
        "postgresql": (NAMESPACE, "app.kubernetes.io/name=postgresql"),
    }


def test_logs_of_a_postgres_that_is_alone_are_found_by_its_own_label(place: Place) -> None:
    alone = {"metadata": {"name": "postgres-0", "labels": {"app.kubernetes.io/name": "postgres"}}}
    (place.folder / "pods").write_text(json.dumps([alone]))
    found = services_with_pods(place.kubectl, ["mcp-dev"])
    assert found == {"postgres": ("mcp-dev", "app.kubernetes.io/name=postgres")}
