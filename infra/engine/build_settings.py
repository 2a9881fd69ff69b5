"""What the machine, not the stack, says about building images."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast, get_args
from urllib.parse import urlsplit

from infra.cluster.removal import mounts_below
from infra.cluster.spec import home as default_home
from infra.engine.build_spec import REPOSITORY
from infra.errors import PlatformError
from infra.versions import PLATFORM

BaseSource = Literal["auto", "registry", "local"]

HOST_PLATFORM: Final = "linux/" + {"x86_64": "amd64", "aarch64": "arm64"}.get(
    os.uname().machine, os.uname().machine
)

SEARCH_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH in the configuration of official base images."""

MINIMUM_FREE_BYTES: Final = 2 * 2**30  # the four images with all their build steps take 1.6 GiB

_PROXY_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, kw_only=True)
class BuildSettings:
    """How images are built on this machine.

    Attributes:
        home: Root of machine-wide data; builds keep theirs below `images/`.
        ca_bundle: Certificates that build steps trust, for networks that inspect TLS; never part of an image.
        base: Where the base image comes from: `registry`, `local` (made from Debian's packages), or `auto`,
            the registry where it is reached.
        proxies: Names of the proxy variables that are set; their values stay in the environment.
    """

    home: Path
    ca_bundle: Path | None = None
    base: BaseSource = "auto"
    proxies: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where builds keep their storage, lock and temporary files."""
        return self.home / "images"

    @property
    def lock(self) -> Path:
        """Held while images are built or removed."""
        return self.folder / "lock"

    def make_folder(self) -> None:
        """Make the folder.

        Raises:
            PlatformError: Not allowed.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except PermissionError:
            raise PlatformError(
                f"{self.folder} can't be made",
                hint="run as root, or set MCP_PLATFORM_HOME to a folder of your own",
            ) from None

    def clean(self) -> None:
        """Remove what a build that was killed left behind; only for who holds the lock."""
        mounts = mounts_below(self.folder)
        for path in self.folder.iterdir():
            if path.name in {"storage", self.lock.name} or any(
                mount.is_relative_to(path) for mount in mounts
            ):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def check_space(self) -> None:
        """Raise PlatformError when there is too little free disk to build in."""
        free, needed = shutil.disk_usage(self.folder).free, MINIMUM_FREE_BYTES
        if free < needed:
            raise PlatformError(
                f"{self.folder} has {free / 2**30:.1f} GiB of free disk; building needs {needed / 2**30:.0f}",
                hint="free space there, or set MCP_PLATFORM_HOME to a place that has it",
            )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> BuildSettings:
        """Read MCP_PLATFORM_{HOME,CA_BUNDLE,BASE_IMAGE}, SSL_CERT_FILE (the default CA bundle), proxies.

        Raises:
            PlatformError: A value that can't be used.
        """
        base = environ.get("MCP_PLATFORM_BASE_IMAGE") or "auto"
        if base not in get_args(BaseSource):
            raise PlatformError(
                f"MCP_PLATFORM_BASE_IMAGE={base}: must be one of {', '.join(get_args(BaseSource))}"
            )
        return cls(
            home=Path(environ.get("MCP_PLATFORM_HOME") or default_home()),
            ca_bundle=_ca_bundle(environ),
            base=cast("BaseSource", base),
            proxies=tuple(name for name in _PROXY_VARIABLES if environ.get(name)),
        )


def _ca_bundle(environ: Mapping[str, str]) -> Path | None:
    if asked := environ.get("MCP_PLATFORM_CA_BUNDLE"):
        if not Path(asked).is_file():
            raise PlatformError(
                f"MCP_PLATFORM_CA_BUNDLE={asked}: no such file", hint="name a file of PEM certificates"
            )
        return Path(asked).resolve()
    found = Path(environ.get("SSL_CERT_FILE") or "")
    return found.resolve() if found.is_file() else None


def label_arguments(name: str) -> dict[str, str]:
    """Build arguments for an image's OCI labels; not in its content hash: they tell of its first build."""
    return {
        "TITLE": name,
        "SOURCE": public_url(_git("remote", "get-url", "origin")),
        "VERSION": PLATFORM,
        "REVISION": _git("rev-parse", "HEAD") or "unknown",
    }


def _git(*arguments: str) -> str:
    """What git says, or nothing where there is no git or no checkout (an unpacked release)."""
    try:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def public_url(remote: str) -> str:
    """A remote's address without user names and tokens; nothing for one that is not on the web."""
    parts = urlsplit(remote)
    if parts.scheme != "https" or not parts.hostname:
        return ""
    return f"https://{parts.hostname}{parts.path.removesuffix('.git')}"
