"""Starting: what is wrong with the environment is said in one line, and the exit status is 2."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from services.kit.health import Health
from services.kit.settings import SettingsError, load
from services.servers.filesystem.server import build
from services.servers.filesystem.settings import FilesystemSettings

REPOSITORY = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("FILESYSTEM_ROOTS", "/nothing", "FILESYSTEM_ROOTS: can't open /nothing: No such file or directory"),
        ("FILESYSTEM_ROOTS", "/etc/passwd", "can't open /etc/passwd: Not a directory"),
        ("FILESYSTEM_ROOTS", "data", "folders must be absolute paths without '..', not 'data'"),
        ("FILESYSTEM_ROOTS", "/usr/../etc", "not '/usr/../etc'"),
        ("FILESYSTEM_ROOTS", "/", "never '/' itself"),
        ("FILESYSTEM_ROOTS", ":", "must name at least one folder"),
        ("FILESYSTEM_ROOTS", "/etc:/etc/", "names a folder twice"),
        ("FILESYSTEM_READ_ONLY", "perhaps", "FILESYSTEM_READ_ONLY='perhaps': must be a valid boolean"),
        ("FILESYSTEM_MAX_FILE_BYTES", "10MB", "FILESYSTEM_MAX_FILE_BYTES='10MB': must be a valid integer"),
        ("TOOL_TIMEOUT", "0", "TOOL_TIMEOUT='0': must be greater than 0"),
        ("MCP_SERVER_NAME", "My Server", "MCP_SERVER_NAME='My Server': string should match pattern"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL='loud': must be 'debug', 'info'"),
    ],
)
def test_settings_that_cannot_be_used(
    variable: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILESYSTEM_ROOTS", "/etc")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        build(load(FilesystemSettings), Health())
    assert message in str(error.value)


def test_several_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILESYSTEM_ROOTS", "/etc/:/usr/share")
    monkeypatch.setenv("ALLOWED_HOSTS", "mcp.example.com, other.example.com")
    settings = load(FilesystemSettings)
    assert settings.filesystem_roots == ("/etc", "/usr/share")
    assert settings.allowed_hosts == ("mcp.example.com", "other.example.com")
    assert (settings.tool_timeout, settings.filesystem_read_only) == (30, False)


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.servers.filesystem"],
        cwd=REPOSITORY,
        env=os.environ
        | {"HOST": "127.0.0.1", "PORT": "0", "OPS_PORT": "0", "FILESYSTEM_ROOTS": "/etc"}
        | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_setting_that_cannot_be_used_ends_the_program_with_one_line() -> None:
    finished = start(FILESYSTEM_ROOTS="/nothing")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr == (
        "can't start: environment variable FILESYSTEM_ROOTS: can't open /nothing: No such file or directory\n"
    )


def test_a_port_in_use_ends_the_program_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finished = start(PORT=str(port))
    assert finished.returncode == 2
    assert finished.stderr.startswith(f"can't start: can't listen on 127.0.0.1 port {port}: ")
