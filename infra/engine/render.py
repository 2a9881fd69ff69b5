"""Write objects as a tree of YAML files (for Argo CD, Flux, kubectl) or as a Helm chart. Never a secret."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from infra.engine.graph import Data, Secret
from infra.engine.manifest import Manifest
from infra.errors import PlatformError
from infra.labels import KEEP

CONTENT_ANNOTATION: Final = "mcp-platform.dev/content"
CHART_VERSION: Final = "1.0.0"  # of the chart's layout; what is in it is told by its content hash

_TEMPLATE: Final = """\
{{- /* The objects are files: what looks like a template in them is text. */ -}}
{{- range $path, $_ := .Files.Glob "objects/*.yaml" }}
---
{{ $.Files.Get $path }}
{{- end }}
"""

# Plain scalars that YAML 1.1 or 1.2 readers other than PyYAML take for numbers or booleans.
_AMBIGUOUS: Final = re.compile(r"[-+.]?\d.*|[yYnN]|[-+.]+.*")


class _Dumper(yaml.CSafeDumper):
    """Texts of several lines as blocks, ambiguous ones in quotes; no anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _represent_text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if _AMBIGUOUS.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def to_yaml(body: Mapping[str, Any]) -> str:
    """One object as YAML, the same bytes for the same object."""
    return yaml.dump(body, Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=110)


def missing(objects: Iterable[Manifest]) -> list[str]:
    """What a rendered tree can't hold: secrets, and objects with values that only a deployment can tell."""
    lines: list[str] = []
    for item in objects:
        place = f"{item.kind} {item.namespace}/{item.name}"
        if item.is_secret:
            lines.append(f"{place}: {', '.join(secret_keys(item)) or 'its keys are known after `up`'}")
        elif paths := item.unknown_paths:
            lines.append(f"{place}: {', '.join(paths)}")
    return lines


def secret_keys(item: Manifest) -> list[str]:
    """The keys of a Secret object, as far as they are known."""
    keys: set[str] = set()
    for section in ("data", "stringData"):
        values = item.body.get(section, {})
        inner = values.value if isinstance(values, Secret) else values
        if isinstance(inner, Mapping):
            keys.update(inner)
    return sorted(keys)


def write_tree(objects: Sequence[Manifest], folder: Path) -> list[Path]:
    """Write one file per object and return their paths; what an earlier rendering left is removed.

    Raises:
        PlatformError: The folder holds something else.
    """
    paths = {
        folder / file: to_yaml(item.body)
        for file, item in _named(objects).items()
        if not item.is_secret and not item.unknown_paths
    }
    if lines := missing(objects):
        paths[folder / "MISSING.txt"] = "".join(f"{line}\n" for line in lines)
    _replace(folder, paths)
    return list(paths)


def write_chart(objects: Sequence[Manifest], folder: Path, *, name: str, description: str) -> str:
    """Write a Helm chart of objects that are wholly known, and return its content hash.

    Volumes, and what the program retains, carry Helm's `keep`: no upgrade or uninstall deletes them.
    """
    bodies = {file: _chart_body(item) for file, item in _named(objects).items()}
    content = content_hash(list(bodies.values()))
    chart = {
        "apiVersion": "v2",
        "name": name,
        "description": description,
        "type": "application",
        "version": CHART_VERSION,
        "appVersion": content[:12],
        "annotations": {CONTENT_ANNOTATION: content},
    }
    paths = {folder / "objects" / file: to_yaml(body) for file, body in bodies.items()}
    paths[folder / "Chart.yaml"] = to_yaml(chart)
    paths[folder / "templates" / "objects.yaml"] = _TEMPLATE
    _replace(folder, paths)
    return content


def _named(objects: Sequence[Manifest]) -> dict[str, Manifest]:
    """File names, as `50-deployment-gateway.yaml`; outside the stack's namespace with its own in it."""
    namespaces = [item.namespace for item in objects if item.namespace]
    home = max(sorted(set(namespaces)), key=namespaces.count, default="")
    names: dict[str, Manifest] = {}
    for item in objects:
        suffix = "" if item.namespace in {"", home} else f".{item.namespace}"
        names[f"{item.phase:02d}-{item.kind.lower()}-{item.name}{suffix}.yaml".replace(":", "_")] = item
    return names


def content_hash(bodies: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256 of objects; equal if and only if the objects are."""
    return hashlib.sha256(json.dumps(bodies, sort_keys=True).encode()).hexdigest()


def _chart_body(item: Manifest) -> Mapping[str, Any]:
    if paths := item.unknown_paths:
        raise PlatformError(
            f"{item.title}: {paths[0]} is only known after a deployment by Pulumi ({item.urn})",
            hint="use `--engine pulumi`",
        )
    if item.is_secret:
        raise PlatformError(f"{item.title}: a Secret never goes into a chart")
    if item.keep:
        return annotated(item.body, KEEP)
    return item.body


def annotated(body: Mapping[str, Any], annotations: Mapping[str, str]) -> dict[str, Data]:
    """A copy of an object with more annotations."""
    metadata = body["metadata"]
    return {
        **body,
        "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **annotations}},
    }


def labelled(body: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Data]:
    """A copy of an object with more labels."""
    metadata = body["metadata"]
    return {**body, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **labels}}}


def _replace(folder: Path, contents: Mapping[Path, str]) -> None:
    """Make the folder hold exactly these files; refuse to touch a folder that holds other things."""
    ours = re.compile(r"\d\d-[a-z]+-.+\.yaml|MISSING\.txt|Chart\.yaml|objects\.yaml")
    present = [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    for path in present:
        if not ours.fullmatch(path.name):
            raise PlatformError(
                f"{folder} holds {path.relative_to(folder)}, which is not a rendered file",
                hint="choose an empty or new folder with -o",
            )
    for path in present:
        if path not in contents:
            path.unlink()
    for path, text in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
