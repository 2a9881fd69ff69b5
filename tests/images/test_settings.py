"""What the machine says about building."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from infra.engine.build_settings import BuildSettings, public_url
from infra.errors import PlatformError


def test_without_any_setting() -> None:
    settings = BuildSettings.from_environment({})
    assert (settings.ca_bundle, settings.base, settings.proxies) == (None, "auto", ())


def test_the_hosts_bundle_is_the_default_and_ours_comes_first(tmp_path: Path) -> None:
    host, own = tmp_path / "host.pem", tmp_path / "own.pem"
    host.touch()
    own.touch()
    environ = {"SSL_CERT_FILE": str(host)}
    assert BuildSettings.from_environment(environ).ca_bundle == host
    assert BuildSettings.from_environment({**environ, "MCP_PLATFORM_CA_BUNDLE": str(own)}).ca_bundle == own
    assert BuildSettings.from_environment({"SSL_CERT_FILE": str(tmp_path / "gone")}).ca_bundle is None


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"MCP_PLATFORM_CA_BUNDLE": "/nowhere.pem"}, "MCP_PLATFORM_CA_BUNDLE=/nowhere.pem: no such file"),
        ({"MCP_PLATFORM_BASE_IMAGE": "x"}, "MCP_PLATFORM_BASE_IMAGE=x: must be one of auto, registry, local"),
    ],
)
def test_a_bad_value_is_named(environ: dict[str, str], message: str) -> None:
    with pytest.raises(PlatformError, match=message):
        BuildSettings.from_environment(environ)


def test_proxies_are_kept_by_name_only() -> None:
    settings = BuildSettings.from_environment({"HTTPS_PROXY": "http://user:hunter2@proxy", "NO_PROXY": ""})
    assert settings.proxies == ("HTTPS_PROXY",)
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("remote", "source"),
    [
        ("https://user:token@git.example.org/team/project.git", "https://git.example.org/team/project"),
        ("git@git.example.org:team/project.git", ""),
        ("/srv/git/project", ""),
        ("", ""),
    ],
)
def test_the_source_label_names_the_public_address_only(remote: str, source: str) -> None:
    assert public_url(remote) == source


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_said_before_anything_is_built(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], check=True)
    try:
        settings = BuildSettings(home=disk)
        settings.make_folder()
        with pytest.raises(PlatformError, match=r"images has 0\.1 GiB of free disk; building needs 2"):
            settings.check_space()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
