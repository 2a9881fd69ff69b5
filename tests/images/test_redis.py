"""The redis image: Valkey as any user, on a volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.images.oci import Container, until, volume

pytestmark = pytest.mark.images

Make = Callable[..., Container]


def ready(server: Container) -> None:
    until(lambda: "PONG" in server.exec("valkey-cli", "ping", check=False), 60, lambda: server.log)


def test_what_was_written_is_there_after_a_restart(container: Make, tmp_path: Path) -> None:
    data = volume(tmp_path / "data")
    server = container("redis", args=["valkey-server", "--appendonly", "yes"], volumes={"/data": data})
    server.start()
    ready(server)
    assert server.exec("valkey-cli", "set", "key", "value").strip() == "OK"
    server.stop()
    server.start()
    ready(server)
    assert server.exec("valkey-cli", "get", "key").strip() == "value"
    assert {path.stat().st_mode & 0o077 for path in data.iterdir()} == {0}


def test_a_configuration_file_and_options_alone_start_the_server(container: Make, tmp_path: Path) -> None:
    settings = tmp_path / "etc"
    settings.mkdir()
    (settings / "valkey.conf").write_text("requirepass secret\nport 7000\n")
    volumes = {"/data": volume(tmp_path / "data"), "/etc/valkey": settings}
    for number, args in enumerate(
        (["/etc/valkey/valkey.conf"], ["--port", "7000", "--requirepass", "secret"])
    ):
        server = container("redis", folder=f"c{number}", args=args, volumes=volumes)
        server.env["REDISCLI_AUTH"] = "secret"
        server.start()
        until(
            lambda server=server: "PONG" in server.exec("valkey-cli", "-p", "7000", "ping", check=False),
            60,
            lambda server=server: server.log,
        )
        stranger = ("env", "-u", "REDISCLI_AUTH", "valkey-cli", "-p", "7000")
        assert "NOAUTH" in server.exec(*stranger, "get", "key")
        server.stop()


def test_a_folder_that_can_not_be_written_is_said_at_once(container: Make) -> None:
    server = container("redis")
    server.start()
    server.wait()
    assert "error: /data can't be written by uid 23456" in server.log


def test_metrics_tell_that_the_server_is_up(container: Make, tmp_path: Path) -> None:
    server = container("redis", volumes={"/data": volume(tmp_path / "data")})
    server.start()
    ready(server)
    server.exec("sh", "-c", "REDIS_ADDR=redis://127.0.0.1:6379 /redis_exporter >/dev/null 2>&1 &")
    until(lambda: "\nredis_up 1\n" in server.http(9121, "/metrics"), 60, lambda: server.log)
