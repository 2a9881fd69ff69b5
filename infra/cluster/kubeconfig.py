"""kubeconfig files: one for each component, and the entries that a user's own file gets."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.cluster.spec import CLUSTER_CA, ClusterSpec, Layout, write_atomically
from infra.errors import PlatformError

COMPONENT_USERS = (
    "kubelet",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "coredns",
    "metrics-server",
    "provisioner",
)
SECTIONS = {"clusters": "cluster", "contexts": "context", "users": "user"}

Document = dict[str, Any]  # a kubeconfig: whatever else a user keeps in it must survive


def write_all(spec: ClusterSpec, layout: Layout) -> None:
    """Write the components' kubeconfigs (for inside the node) and the administrator's (for the host)."""
    layout.kubeconfigs.mkdir(mode=0o700, parents=True, exist_ok=True)
    inside = f"https://{spec.node_ip}:6443"
    for user in COMPONENT_USERS:
        text = _dump(document(spec, layout, user=user, server=inside))
        write_atomically(layout.kubeconfigs / f"{user}.yaml", text)
    write_atomically(
        layout.admin_kubeconfig, _dump(document(spec, layout, user="admin", server=spec.api_url))
    )


def document(spec: ClusterSpec, layout: Layout, *, user: str, server: str) -> Document:
    """A kubeconfig with one context, the certificates inside it."""

    def embedded(file: str) -> str:
        return base64.b64encode((layout.certificates / file).read_bytes()).decode()

    name = spec.context
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {"server": server, "certificate-authority-data": embedded(f"{CLUSTER_CA}.crt")},
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": embedded(f"{user}.crt"),
                    "client-key-data": embedded(f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def user_file(environment: Mapping[str, str] = os.environ) -> Path:
    """The kubeconfig that kubectl reads and writes: the first of `$KUBECONFIG`, else ~/.kube/config."""
    for entry in environment.get("KUBECONFIG", "").split(os.pathsep):
        if entry:
            return Path(entry)
    return Path(environment.get("HOME") or Path.home()) / ".kube" / "config"


def merged(existing: Document, added: Document) -> Document:
    """`existing` with the entries of `added` in place of those that have the same names.

    The current context changes only where none is set: a user's next `kubectl` must not land on another
    cluster.
    """
    result = dict(existing) or {"apiVersion": "v1", "kind": "Config"}
    for section in SECTIONS:
        names = {entry["name"] for entry in added[section]}
        kept = [entry for entry in result.get(section) or [] if entry.get("name") not in names]
        result[section] = [*kept, *added[section]]
    if not result.get("current-context"):
        result["current-context"] = added["current-context"]
    return result


def without(existing: Document, name: str) -> Document:
    """`existing` without the cluster, context and user of this name."""
    result = dict(existing)
    for section in SECTIONS:
        if section in result:
            result[section] = [entry for entry in result[section] or [] if entry.get("name") != name]
    if result.get("current-context") == name:
        result["current-context"] = ""
    return result


def merge_into(path: Path, added: Document) -> bool:
    """Add a cluster's entries to a user's kubeconfig; whether its current context is this cluster now."""
    before = _load(path)
    after = merged(before, added)
    if after != before:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(_followed(path), _dump(after))
    return after["current-context"] == added["current-context"]


def remove_from(path: Path, name: str) -> None:
    """Take a cluster's entries out of a user's kubeconfig; nothing else in it changes."""
    before = _load(path)
    after = without(before, name)
    if after != before:
        write_atomically(_followed(path), _dump(after))


def _followed(path: Path) -> Path:
    """The file itself where the kubeconfig is a symbolic link, so that the link stays one."""
    return path.resolve() if path.is_symlink() else path


def _load(path: Path) -> Document:
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        raise PlatformError(
            f"{path} is not valid YAML, so the cluster's context can't be added: {error}",
            hint="repair it, or point KUBECONFIG to another file",
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise PlatformError(
            f"{path} is not a kubeconfig", hint="repair it, or point KUBECONFIG to another file"
        )
    return dict(content)


def _dump(content: Document) -> str:
    return yaml.safe_dump(content, sort_keys=False)
