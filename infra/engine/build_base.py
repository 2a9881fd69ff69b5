"""The base image: from its registry where that is reached, else made from Debian's packages.

`mmdebstrap` makes what debian:trixie-slim holds: the same set of packages (variant minbase), at their newest
versions, without manuals and translations. Then the very same Dockerfiles build on it.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.cluster import packages
from infra.cluster.report import Report
from infra.engine.build_builder import Builder
from infra.engine.build_process import CommandError, build_steps
from infra.engine.build_settings import BuildSettings
from infra.engine.build_spec import ImageSpec
from infra.errors import PlatformError

STANDS_FOR_LABEL: Final = "mcp-platform.dev/stands-for"
"""Label of a base of our own: the reference in whose place it is used."""

_DEBIAN: Final = re.compile(r"^(?:docker\.io/library/)?debian:(?P<suite>[a-z]+)-slim(?:@|$)")
_DEFAULT_BASE: Final = re.compile(r"^ARG BASE=(\S+)", re.MULTILINE)
_LEFT_OUT: Final = ("doc", "groff", "info", "linda", "lintian", "locale", "man")


def wanted_base(spec: ImageSpec) -> str | None:
    """The base that an image asks for: its build argument, else its Dockerfile's default."""
    if base := spec.build_args.get("BASE"):
        return base
    found = _DEFAULT_BASE.search(spec.dockerfile.read_text())
    return found[1] if found else None


@dataclass(frozen=True)
class BaseImage:
    """One base image that is wanted, and how this machine gets it.

    Attributes:
        wanted: Its reference.
        builder: Whose storage it is to be in.
        settings: Where it may come from.
        report: Takes lines of progress.
    """

    wanted: str
    builder: Builder
    settings: BuildSettings
    report: Report

    @property
    def suite(self) -> str | None:
        """The Debian release, when the base is one that can be made from packages."""
        found = _DEBIAN.match(self.wanted)
        return found["suite"] if found else None

    @property
    def own(self) -> str:
        """The name of what is made in its place."""
        return f"localhost/mcp-platform/debian:{self.suite}-slim"

    def ensure(self) -> str:
        """Have it, or what stands for it, in the builder's storage, and return the reference to build on.

        Raises:
            PlatformError: The registry is not reached, and the image can't or must not be made here.
        """
        if self.settings.base != "local" and self.builder.has(self.wanted):
            return self.wanted
        if self.settings.base != "registry" and self._made():
            return self.own
        if self.settings.base != "local" and self._pulled():
            return self.wanted
        self._make()
        return self.own

    def _made(self) -> bool:
        made = self.suite is not None and self.builder.has(self.own)
        return made and self.builder.label(self.own, STANDS_FOR_LABEL) == self.wanted

    def _pulled(self) -> bool:
        """Whether a pull succeeded; where it did not, say why something else is used, if that is allowed."""
        self.report(f"pulling {self.wanted}")
        try:
            self.builder.pull(self.wanted)
        except CommandError as error:
            reason = (error.tail or str(error)).rpartition(": ")[2]
            if self.suite is None or self.settings.base == "registry":
                raise PlatformError(
                    f"the base image {self.wanted} can't be pulled: {reason}",
                    hint=error.hint or "is its registry reached from here, and do you have to log in?",
                ) from error
            self.report(f"{self.wanted} can't be pulled ({reason}); making it from Debian's packages")
            return False
        return True

    def _make(self) -> None:
        if self.suite is None:
            raise PlatformError(
                f"the base image {self.wanted} can't be made here: only debian:SUITE-slim can",
                hint="set MCP_PLATFORM_BASE_IMAGE=registry",
            )
        needed = {"mmdebstrap": ["mmdebstrap", "debian-archive-keyring"]}
        packages.ensure(needed, self.report, "making a base image")
        self.report(f"making {self.own} from Debian's packages")
        with tempfile.TemporaryDirectory(prefix="base-", dir=self.settings.folder) as folder:
            archive = Path(folder) / "root.tar"
            build_steps(
                _mmdebstrap(self.suite, archive),
                what=f"making the base image of Debian {self.suite}",
                env={**os.environ, "TMPDIR": folder},
                on_step=self.report,
            )
            self.builder.import_root(archive, self.own, (STANDS_FOR_LABEL, self.wanted))


def _mmdebstrap(suite: str, archive: Path) -> list[str]:
    options = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--format=tar",
        *options,
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=APT::AutoRemove::SuggestsImportant "false"',
        suite,
        str(archive),
    ]
