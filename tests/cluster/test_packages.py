from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from infra.cluster import packages, preflight, silent
from infra.errors import PlatformError

BY_HAND = "as root: apt-get install --no-install-recommends"


def test_what_is_there_is_not_installed() -> None:
    lines: list[str] = []
    packages.ensure({"sh": ["no-such-package"]}, lines.append, "this")
    assert not lines


def test_missing_programs_without_apt_are_named_with_their_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PlatformError, match=r"there is no runc, no nft, .*which the embedded Kube") as caught:
        preflight.ensure_programs(silent)
    assert caught.value.hint.startswith(f"{BY_HAND} runc nftables ")


def test_without_root_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PlatformError, match="there is no nonesuch, which this needs") as caught:
        packages.ensure({"sh": ["dash"], "nonesuch": ["one", "two"]}, silent, "this")
    assert caught.value.hint == f"{BY_HAND} one two"


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("apt-get") is None, reason="installing needs root and apt-get"
)
def test_packages_that_can_not_be_had_are_named_with_what_apt_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    lines: list[str] = []
    with pytest.raises(PlatformError, match="could not install mcp-platform-nonesuch") as caught:
        packages.ensure({"nonesuch": ["mcp-platform-nonesuch"]}, lines.append, "this")
    assert "Unable to locate package mcp-platform-nonesuch" in str(caught.value)
    assert lines == ["installing mcp-platform-nonesuch"]
