"""What a cluster adds to the user's surroundings: a kubeconfig context, kubectl and helm on PATH."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from infra.cluster import kubeconfig
from infra.cluster.report import Report
from infra.cluster.spec import ClusterSpec, Layout, write_atomically
from infra.cluster.tools import Toolbox
from infra.errors import PlatformError

COMMANDS = ("kubectl", "helm")
LINKS = Path("/usr/local/bin")


def publish(spec: ClusterSpec, layout: Layout, toolbox: Toolbox, report: Report, links: Path = LINKS) -> None:
    """Add the cluster's context to the user's kubeconfig, and the commands that the machine doesn't have."""
    target = kubeconfig.user_file()
    content = kubeconfig.document(spec, layout, user="admin", server=spec.api_url)
    is_current = kubeconfig.merge_into(target, content)
    note = "" if is_current else f" (use it with `kubectl --context {spec.context}`)"
    report(f"context {spec.context} is in {target}{note}")
    recorded = set(_recorded(toolbox.home)) | set(link_commands(toolbox, links))
    if recorded:
        write_atomically(_record(toolbox.home), json.dumps(sorted(recorded)))
    write_atomically(layout.root / "published.json", json.dumps(str(target)))


def withdraw(name: str, layout: Layout) -> None:
    """Take the cluster's context out of the kubeconfig that it was added to."""
    try:
        target = json.loads((layout.root / "published.json").read_text())
    except FileNotFoundError:
        return
    kubeconfig.remove_from(Path(target), name)


def link_commands(toolbox: Toolbox, links: Path) -> list[str]:
    """Link each command that PATH lacks, and renew links of ours; returns the links."""
    made: list[str] = []
    for command in COMMANDS:
        link = links / command
        if link.is_symlink() and link.readlink().is_relative_to(toolbox.home):
            link.unlink()
        elif shutil.which(command):
            continue
        link.symlink_to(toolbox.path(command))
        made.append(str(link))
    return made


def unlink_commands(home: Path) -> None:
    """Remove the links that `link_commands` made, unless somebody put something else there."""
    for name in _recorded(home):
        link = Path(name)
        if link.is_symlink() and link.readlink().is_relative_to(home):
            link.unlink()
    _record(home).unlink(missing_ok=True)


def _record(home: Path) -> Path:
    return home / "tools" / "links.json"


def _recorded(home: Path) -> list[str]:
    record = _record(home)
    if not record.exists():
        return []
    try:
        return [str(link) for link in json.loads(record.read_text())]
    except ValueError as error:
        raise PlatformError(f"{record} is not a list of links: {error}", hint="remove it") from error
