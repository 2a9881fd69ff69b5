"""What a cluster adds to the user's surroundings: a kubeconfig context, kubectl and helm on PATH."""

from __future__ import annotations

import json
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from infra.cluster import kubeconfig
from infra.cluster.processes import locked
from infra.cluster.report import Report, silent
from infra.cluster.spec import ClusterSpec, Layout, write_atomically
from infra.cluster.tools import Toolbox
from infra.errors import PlatformError

COMMANDS = ("kubectl", "helm")
LINKS = Path("/usr/local/bin")


def publish(spec: ClusterSpec, layout: Layout, toolbox: Toolbox, report: Report, links: Path = LINKS) -> None:
    """Add the cluster's context to the user's kubeconfig, and the commands that the machine doesn't have."""
    target = kubeconfig.user_file()
    content = kubeconfig.document(spec, layout, user="admin", server=spec.api_url)
    with _alone(toolbox.home):
        _remember(layout.published_file, [str(target.absolute())])  # first: what is noted can be taken back
        is_current = kubeconfig.merge_into(target, content)
        _remember(_links_file(toolbox.home), link_commands(toolbox, links))
    note = "" if is_current else f" (use it with `kubectl --context {spec.context}`)"
    report(f"context {spec.context} is in {target}{note}")


def withdraw(context: str, layout: Layout, home: Path) -> None:
    """Take the cluster's context out of every kubeconfig that it was added to."""
    with _alone(home):
        for target in _remembered(layout.published_file):
            kubeconfig.remove_from(Path(target), context)


def _alone(home: Path) -> AbstractContextManager[None]:
    """One command at a time, also of different clusters: each changes what all of them share."""
    return locked(home / "tools" / "publish.lock", silent, "another command")


def link_commands(toolbox: Toolbox, links: Path) -> list[str]:
    """Link each command that PATH lacks, and renew links of ours; returns the links."""
    made: list[str] = []
    for command in COMMANDS:
        link, program = links / command, toolbox.path(command)
        is_ours = link.is_symlink() and link.readlink().is_relative_to(toolbox.home)
        if not is_ours and shutil.which(command):
            continue
        if is_ours and link.readlink() != program:
            link.unlink()
        if not link.is_symlink():
            link.symlink_to(program)
        made.append(str(link))
    return made


def unlink_commands(home: Path) -> None:
    """Remove the links that `link_commands` made, unless somebody put something else there."""
    for name in _remembered(_links_file(home)):
        link = Path(name)
        if link.is_symlink() and link.readlink().is_relative_to(home):
            link.unlink()


def _links_file(home: Path) -> Path:
    return home / "tools" / "links.json"


def _remember(file: Path, entries: list[str]) -> None:
    """Add to the list that a file keeps."""
    known = _remembered(file)
    if not set(entries) <= set(known):
        write_atomically(file, json.dumps(sorted({*known, *entries})))


def _remembered(file: Path) -> list[str]:
    if not file.exists():
        return []
    try:
        return [str(entry) for entry in json.loads(file.read_text())]
    except (ValueError, TypeError) as error:
        raise PlatformError(f"{file} is not a list of paths: {error}", hint="remove it") from error
