"""From a graph to a Compose file, and what of it is written where."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.engine.compose.client import Compose
from infra.engine.compose.document import CONTAINER, NETWORK, TYPES, VOLUME, Document, document
from infra.engine.compose.plan import offline
from infra.engine.compose.state import State, render
from infra.engine.graph import UNKNOWN, Graph, Resource, Secret
from infra.engine.record import record
from infra.engine.support import require_supported
from infra.errors import PlatformError

IMAGE = "localhost/mcp-platform/a:1"


def resource(type_: str, name: str, after: tuple[str, ...] = (), **inputs: Any) -> Resource:
    return Resource(
        type=type_,
        name=name,
        urn=f"urn:{name}",
        inputs={"name": f"mcp-x-{name}", **inputs},
        dependencies=after,
    )


def container(name: str, *after: str, **inputs: Any) -> Resource:
    return resource(CONTAINER, name, after, **{"image": IMAGE, "restart": "unless-stopped", **inputs})


def graph(*resources: Resource) -> Graph:
    return Graph("mcp-platform", "x", resources, {})


def service(found: Resource, *others: Resource) -> dict[str, Any]:
    return document(graph(found, *others), "mcp-x").data["services"][found.name]


@pytest.fixture(scope="module")
def stack() -> Document:
    return document(record("docker"), "mcp-docker")


def test_the_same_stack_is_the_same_file(stack: Document) -> None:
    assert document(record("docker"), "mcp-docker").text == stack.text


def test_the_file_holds_no_secret() -> None:
    upload = {"file": "/s/key", "content": Secret("hunter2")}
    volume = {"containerPath": "/s", "volumeName": "mcp-x-v"}
    found = document(
        graph(
            container("a", volumes=[volume]),
            container("a-files", start=False, volumes=[volume], uploads=[upload]),
            resource(VOLUME, "v"),
        ),
        "mcp-x",
    )
    assert "hunter2" not in found.text
    assert "volumes" not in found.data
    assert found.data["services"]["a"]["secrets"] == [{"source": "a-s-key", "target": "/s/key"}]
    assert [(file.source, file.content, file.secret) for file in found.all_files] == [
        ("secrets/a/s/key", "hunter2", True)
    ]


def test_what_is_not_known_yet_is_taken_for_a_secret() -> None:
    volume = {"containerPath": "/s", "volumeName": "mcp-x-v"}
    found = document(
        graph(
            container("a", volumes=[volume]),
            container(
                "a-files", start=False, volumes=[volume], uploads=[{"file": "/s/k", "content": UNKNOWN}]
            ),
            resource(VOLUME, "v"),
        ),
        "mcp-x",
    )
    assert [(file.content, file.secret) for file in found.all_files] == [(None, True)]


def test_a_dollar_is_text() -> None:
    found = service(container("a", envs=["PRICE=$5 ${HOME}"], command=["echo $X"]))
    assert found["environment"] == {"PRICE": "$$5 $${HOME}"}
    assert found["command"] == ["echo $$X"]


def test_a_property_that_is_not_rendered_is_an_error_and_not_left_out() -> None:
    with pytest.raises(PlatformError, match="container a: privileged is not rendered to Compose"):
        service(container("a", privileged=True))


@pytest.mark.parametrize(
    ("inputs", "condition"),
    [
        ({"mustRun": False, "restart": "no"}, "service_completed_successfully"),
        ({"healthcheck": {"tests": ["CMD", "true"]}}, "service_healthy"),
        ({}, "service_started"),
    ],
)
def test_who_comes_after_waits_as_long_as_makes_sense(inputs: dict[str, Any], condition: str) -> None:
    first = container("first", **inputs)
    found = service(container("second", "urn:first"), first)
    assert found["depends_on"] == {"first": {"condition": condition}}


def test_a_limit_of_processes_is_the_containers_own() -> None:
    limits = [{"name": "nproc", "soft": 9, "hard": 9}, {"name": "nofile", "soft": 1, "hard": 2}]
    found = service(container("a", ulimits=limits))
    assert (found["pids_limit"], found["ulimits"]) == (9, {"nofile": {"soft": 1, "hard": 2}})


def test_networks_and_volumes_keep_their_names() -> None:
    found = document(
        graph(
            container(
                "a",
                networksAdvanced=[{"name": "mcp-x-n", "aliases": ["a"]}],
                volumes=[{"containerPath": "/d", "volumeName": "mcp-x-v", "readOnly": True}],
            ),
            resource(NETWORK, "n", internal=True),
            resource(VOLUME, "v"),
        ),
        "mcp-x",
    ).data
    assert found["networks"]["n"] == {"name": "mcp-x-n", "internal": True, "labels": {}}
    assert found["volumes"]["v"]["name"] == "mcp-x-v"
    assert found["services"]["a"]["networks"] == {"n": {"aliases": ["a"]}}
    assert found["services"]["a"]["volumes"] == [
        {"type": "volume", "source": "v", "target": "/d", "read_only": True}
    ]


def test_what_ends_by_itself_is_not_waited_for(stack: Document) -> None:
    assert stack.lasting == ["filesystem", "gateway", "postgres", "redis"]


def test_the_plan_against_nothing_makes_everything(stack: Document) -> None:
    plan = offline("docker", stack)
    assert plan.counts["create"] == len(plan.steps) == 4 + 3 + 5


def test_another_resource_needs_pulumi() -> None:
    require_supported(graph(container("a")), TYPES)
    with pytest.raises(PlatformError, match="needs `pulumi up`"):
        require_supported(graph(container("a")))
    with pytest.raises(PlatformError, match="needs `pulumi up`"):
        require_supported(graph(container("a"), resource("aws:s3/bucket:Bucket", "b")), TYPES)


def known(found: Document) -> Document:
    """As with values that were made."""
    return replace(
        found,
        files={
            name: tuple(replace(file, content=file.content or f"made for {file.target}") for file in files)
            for name, files in found.files.items()
        },
    )


def test_secrets_are_readable_by_the_containers_user_alone(stack: Document, tmp_path: Path) -> None:
    state = State(tmp_path / "docker")
    with state.alone(print):
        state.write(known(stack))
        state.store({"urn": {"result": "hunter2"}})
    assert stat.S_IMODE(state.folder.stat().st_mode) == 0o700
    assert state.values() == {"urn": {"result": "hunter2"}}
    assert stat.S_IMODE((state.folder / "values.json").stat().st_mode) == 0o600
    secrets = [path for path in (state.folder / "secrets").rglob("*") if path.is_file()]
    assert len(secrets) == len([file for file in stack.all_files if file.secret])
    if os.geteuid() == 0:
        assert {(stat.S_IMODE(path.stat().st_mode), path.stat().st_uid) for path in secrets} == {
            (0o600, 10001)
        }


def test_files_of_what_left_the_program_are_removed_and_others_left_alone(
    stack: Document, tmp_path: Path
) -> None:
    state, full = State(tmp_path), known(stack)
    state.write(full)
    password = state.folder / "secrets/redis/run/secrets/redis/password"
    before = password.stat()
    state.write(replace(full, files={"redis": full.files["redis"]}))
    assert password.stat().st_ino == before.st_ino
    assert not list((state.folder / "secrets/gateway").rglob("*.pem"))
    assert (state.folder / "files/redis/etc/valkey/valkey.conf").is_file()


def test_a_state_without_values_has_none(tmp_path: Path) -> None:
    assert State(tmp_path).values() is None


def test_rendering_writes_no_secret_and_lists_where_they_belong(stack: Document, tmp_path: Path) -> None:
    missing = render(known(stack), tmp_path)
    assert missing == [file.source for file in stack.all_files if file.secret]
    assert (tmp_path / "MISSING.txt").read_text().splitlines() == missing
    assert not (tmp_path / "secrets").exists()
    data = yaml.safe_load((tmp_path / "compose.yaml").read_text())
    for config in data["configs"].values():
        assert (tmp_path / config["file"]).is_file()
    assert sorted(item["file"] for item in data["secrets"].values()) == sorted(
        f"./{path}" for path in missing
    )


def test_rendering_twice_is_fine_but_not_over_somebody_elses_files(stack: Document, tmp_path: Path) -> None:
    render(stack, tmp_path)
    render(stack, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(PlatformError, match=r"notes\.txt"):
        render(stack, tmp_path)


Programs = Callable[..., None]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Put nothing on PATH but these shell scripts: what they must find is how they answer, not an engine."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()

    def put(**scripts: str) -> None:
        for name, text in scripts.items():
            path = tmp_path / "bin" / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)

    return put


def test_a_machine_without_docker_is_told_what_to_install(programs: Programs) -> None:
    programs()
    with pytest.raises(PlatformError, match="there is no docker command") as caught:
        Compose.find("x")
    assert "docker.io" in caught.value.hint


def test_an_engine_that_does_not_answer_is_said(programs: Programs) -> None:
    programs(docker="exit 1")
    with pytest.raises(PlatformError, match="no Docker engine answers"):
        Compose.find("x")


def test_a_machine_without_compose_is_told_what_to_install(programs: Programs) -> None:
    programs(docker='[ "$1" = version ]')
    with pytest.raises(PlatformError, match="there is no Docker Compose") as caught:
        Compose.find("x")
    assert "https://docs.docker.com/compose/install" in caught.value.hint


def test_version_1_of_compose_is_too_old(programs: Programs) -> None:
    programs(docker='[ "$1" = version ]', docker_compose="echo 1.29.2")
    with pytest.raises(PlatformError, match=r"docker-compose 1\.29 is older than 2\.20"):
        Compose.find("x")


def test_the_plugin_comes_before_the_program(programs: Programs) -> None:
    programs(docker='[ "$1" = compose ] && echo v2.40.3; true', docker_compose="echo 2.30.0")
    assert Compose.find("x").line("ps") == ["docker", "compose", "--project-name", "x", "ps"]


def test_the_program_does_where_there_is_no_plugin(programs: Programs) -> None:
    programs(docker='[ "$1" = version ]', docker_compose="echo 2.26.1-4")
    assert Compose.find("x").command == ("docker-compose",)
