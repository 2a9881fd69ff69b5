"""The stack `docker` on a real Docker engine, run by a real Docker Compose, as users and attackers see it."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.docker.compose_plugin import pinned_version
from tests.docker.conftest import Stack
from tests.docker.engine import OUTSIDE, WORLD, Ended, Engine

# The first time, the engine, Compose and four images are made.
pytestmark = [pytest.mark.images, pytest.mark.timeout(2400)]

SERVICES = ("filesystem", "gateway", "postgres", "redis")
CONNECT = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor

def reached(place):
    host, _, port = place.partition(":")
    try:
        socket.create_connection((host, int(port)), 5).close()
    except OSError:
        return False
    return True

with ThreadPoolExecutor(32) as pool:
    found = [place for place, is_there in zip(sys.argv[1:], pool.map(reached, sys.argv[1:])) if is_there]
print(*found)
"""
"""Prints which of the places that it is given accept connections."""


def in_container(stack: Stack, service: str, *command: str) -> Ended:
    return stack.engine.run("docker", "exec", f"mcp-docker-{service}", *command)


def reached(done: Ended) -> list[str]:
    assert done.code == 0, done.err
    return done.out.split()


def reached_by(stack: Stack, service: str, *places: str) -> list[str]:
    return reached(in_container(stack, service, "python3", "-c", CONNECT, *places))


def addresses(stack: Stack, service: str) -> dict[str, str]:
    networks = stack.engine.inspect(f"mcp-docker-{service}")["NetworkSettings"]["Networks"]
    return {name.removeprefix("mcp-docker-"): item["IPAddress"] for name, item in networks.items()}


def test_the_compose_that_is_built_tells_its_version(docker_engine: Engine) -> None:
    assert docker_engine.must("docker", "compose", "version", "--short").strip() == pinned_version().lstrip(
        "v"
    )


def test_up_ends_with_a_tool_call_through_the_gateway(stack: Stack) -> None:
    assert "tool call filesystem__list_allowed_directories answered" in stack.said
    assert "gateway: http://127.0.0.1:8080/mcp" in stack.said


def test_tools_write_and_read_files(stack: Stack) -> None:
    stack.must("call", "filesystem__write_file", "path=/data/a.txt", "content=hello", "--approve")
    read = json.loads(stack.must("call", "filesystem__read_file", "path=/data/a.txt", "--json"))
    assert read["structuredContent"]["content"] == "hello"


def test_what_runs_is_what_a_preview_wants(stack: Stack) -> None:
    plan = json.loads(stack.must("preview", "--json"))
    assert {key: count for key, count in plan["summary"].items() if count} == {"unchanged": 12}
    assert not [item for item in plan["violations"] if item["severity"] not in {"low", "medium"}]


def test_verify_asks_every_service_and_store(stack: Stack) -> None:
    checks = {item["what"]: item["detail"] for item in json.loads(stack.must("verify", "--json"))}
    assert checks["redis answers"] == "PONG"
    assert checks["postgres answers"] == "1"
    assert checks["server filesystem"] == "9 tools through the gateway"
    assert {checks[name] for name in SERVICES} == {"ready"}


def test_status_and_logs(stack: Stack) -> None:
    status = json.loads(stack.must("status", "--json"))
    assert status["ready"]
    assert {item["name"] for item in status["services"]} == {*SERVICES, "migrate"}
    assert '"service":"gateway"' in stack.must("logs", "gateway", "--tail", "5")


def test_what_needs_kubernetes_says_so(stack: Stack) -> None:
    done = stack.run("scale", "gateway", "2")
    assert done.code == 2
    assert "stack docker runs on Docker" in done.err


def test_servers_and_stores_reach_neither_the_world_nor_each_other(stack: Stack) -> None:
    image = stack.engine.inspect("mcp-docker-filesystem")["Config"]["Image"]
    free = ("docker", "run", "--rm", "--network", "bridge", "--entrypoint", "python3", image)
    world, machine = f"{WORLD}:80", f"{OUTSIDE}:8080"
    assert stack.engine.must(*free, "-c", CONNECT, world).split() == [world], "nobody gets out, if let or not"
    stores = [
        *(f"{address}:6379" for address in addresses(stack, "redis").values()),
        *(f"{address}:5432" for address in addresses(stack, "postgres").values()),
    ]
    assert reached_by(stack, "filesystem", world, machine, *stores) == []
    services = ["redis:6379", "postgres:5432", "filesystem:8080"]
    assert reached_by(stack, "gateway", world, machine, *stores, *services) == [*stores, *services]


def test_only_the_gateway_is_reached_and_only_from_this_machine(stack: Stack) -> None:
    inside = [
        f"{address}:{port}"
        for service, port in (("filesystem", 8080), ("redis", 6379), ("postgres", 5432))
        for address in addresses(stack, service).values()
    ]
    here = "127.0.0.1:8080"
    assert reached(stack.engine.run("python3", "-c", CONNECT, here, *inside)) == [here]
    outside = stack.engine.from_world("python3", "-c", CONNECT, f"{OUTSIDE}:8080", f"{WORLD}:80")
    assert reached(outside) == [f"{WORLD}:80"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_is_as_confined_as_it_was_declared(stack: Stack, service: str) -> None:
    status = dict(
        line.split(":\t", 1)
        for line in in_container(stack, service, "cat", "/proc/1/status").out.splitlines()
        if ":\t" in line
    )
    assert status["Uid"].split() == ["10001"] * 4
    assert {status[key] for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert in_container(stack, service, "sh", "-c", "echo x > /x").code != 0
    host = stack.engine.inspect(f"mcp-docker-{service}")["HostConfig"]
    assert host["PidsLimit"] == 1024
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["NanoCpus"] > 0
    assert host["LogConfig"] == {"Type": "local", "Config": {"max-file": "3", "max-size": "10m"}}
    assert host["RestartPolicy"]["Name"] == "unless-stopped"


def test_secrets_are_in_files_that_the_container_alone_can_read(stack: Stack) -> None:
    state = stack.engine.folder / "home" / "docker" / "docker"
    values = json.loads((state / "values.json").read_text())
    secrets = [value.get("result", value.get("privateKeyPem")) for value in values.values()]
    assert len(secrets) == 5
    told = (state / "compose.yaml").read_text() + "".join(
        json.dumps(stack.engine.inspect(f"mcp-docker-{name}")) for name in (*SERVICES, "migrate")
    )
    assert not [secret for secret in secrets if secret in told]
    assert in_container(stack, "gateway", "cat", "/run/secrets/redis/password").out in secrets
    assert in_container(stack, "gateway", "sh", "-c", "echo x > /run/secrets/redis/password").code != 0


def test_what_fills_volumes_under_pulumi_reaches_a_container_that_is_read_only(images: Engine) -> None:
    """As the provider does it: an archive that is extracted at the root of a container never started."""
    image = images.must(
        "docker", "images", "--quiet", "--filter", "reference=localhost/mcp-platform/redis"
    ).split()[0]
    make = ("docker", "create", "--network", "none", "--user", "10001:10001", "--name", "fill")
    images.must(*make, "--volume", "filled:/etc/mcp", image)
    images.must("docker", "cp", "-", "fill:/", stdin=archive("etc/mcp/deep/key", b"secret"))
    read = ("docker", "run", "--rm", "--read-only", "--user", "10001:10001", "--entrypoint", "sh")
    said = images.must(
        *read,
        "--volume",
        "filled:/etc/mcp:ro",
        image,
        "-c",
        "cat /etc/mcp/deep/key; stat -c %a:%u /etc/mcp/deep/key",
    )
    assert said == "secret400:10001\n"
    images.must("docker", "rm", "--volumes", "fill")
    images.must("docker", "volume", "rm", "--force", "filled")


def archive(name: str, content: bytes) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.uid, member.gid = len(content), 0o400, 10001, 10001
        tar.addfile(member, io.BytesIO(content))
    return written.getvalue()


def volumes(stack: Stack) -> set[str]:
    return set(stack.engine.must("docker", "volume", "ls", "--quiet").split())


@pytest.mark.nightly
def test_data_outlives_the_containers_until_it_may_be_lost(stack: Stack) -> None:
    kept = {f"mcp-docker-{name}-data" for name in ("filesystem", "postgres", "redis")}
    stack.must("call", "filesystem__write_file", "path=/data/kept.txt", "content=still here", "--approve")
    records = count_records(stack)
    assert records > 0
    stack.must("down", "--yes")
    assert stack.engine.must("docker", "ps", "--all", "--quiet") == ""
    assert kept <= volumes(stack)
    stack.must("up", "--yes")
    read = stack.must("call", "filesystem__read_file", "path=/data/kept.txt", "--json")
    assert json.loads(read)["structuredContent"]["content"] == "still here"
    assert count_records(stack) > records
    values = stack.engine.folder / "home" / "docker" / "docker" / "values.json"
    away: Path = values.rename(values.with_suffix(".away"))
    refused = stack.run("up", "--yes")
    assert refused.code == 2
    assert "the volumes whose data need its passwords are there" in refused.err
    away.rename(values)
    stack.must("down", "--yes", "--allow-data-loss")
    assert not kept & volumes(stack)
    assert not values.exists()


def count_records(stack: Stack) -> int:
    ask = 'PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" psql -h 127.0.0.1 -U mcp -d mcp -tAc "$0"'
    return int(in_container(stack, "postgres", "sh", "-c", ask, "select count(*) from gateway.audit").out)
