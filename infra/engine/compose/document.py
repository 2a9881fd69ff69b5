"""From a stack's graph to a Compose file: services, networks, volumes, and files that services mount. Pure.

What differs from the graph: files are mounted from this machine rather than through volumes that a container
fills (`infra/components/docker/files.py` says why those are there), and a limit of processes is a container's
own, for which the provider has no word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.engine.graph import UNKNOWN, Data, Graph, Resource, Secret
from infra.engine.render import to_yaml
from infra.errors import PlatformError

CONTAINER: Final = "docker:index/container:Container"
NETWORK: Final = "docker:index/network:Network"
VOLUME: Final = "docker:index/volume:Volume"
TYPES: Final = frozenset({CONTAINER, NETWORK, VOLUME})

CONFIG_FOLDER: Final = "files"
SECRET_FOLDER: Final = "secrets"  # noqa: S105 - a folder's name

_PLAIN: Final = {
    "name": "container_name",
    "image": "image",
    "entrypoints": "entrypoint",
    "command": "command",
    "user": "user",
    "readOnly": "read_only",
    "cpus": "cpus",
    "restart": "restart",
    "securityOpts": "security_opt",
    "networkMode": "network_mode",
}
"""What has but another name in Compose."""

_TRANSLATED: Final = frozenset(
    {
        *("attach", "capabilities", "destroyGraceSeconds", "envs", "healthcheck", "labels", "logDriver"),
        *("logOpts", "memory", "memorySwap", "mustRun", "networksAdvanced", "ports", "stopTimeout", "tmpfs"),
        *("ulimits", "volumes", "wait", "waitTimeout"),
    }
)

_BUILT_HERE: Final = "localhost/"


@dataclass(frozen=True, slots=True)
class File:
    """One file that a service mounts.

    Attributes:
        source: Where it is beside the Compose file.
        target: Where the service sees it.
        content: What it holds; None where only a deployment can tell.
        secret: Whether nobody else may read it.
    """

    source: str
    target: str
    content: str | None
    secret: bool


@dataclass(frozen=True, slots=True)
class Document:
    """A Compose file and what it refers to.

    Attributes:
        data: The Compose file.
        files: All files, by the service that mounts them.
    """

    data: Mapping[str, Any]
    files: Mapping[str, tuple[File, ...]]

    @property
    def text(self) -> str:
        """The Compose file, the same bytes for the same stack."""
        return to_yaml(self.data)

    @property
    def all_files(self) -> list[File]:
        """Every file, in the order of services and paths."""
        return [file for service in sorted(self.files) for file in self.files[service]]

    @property
    def lasting(self) -> list[str]:
        """The services that don't end by themselves."""
        return [name for name, item in self.data["services"].items() if item["restart"] != "no"]


def document(graph: Graph, project: str) -> Document:
    """The Compose file of a stack.

    Args:
        graph: The evaluated stack.
        project: Compose's name for all of it.

    Raises:
        PlatformError: A container has a property that isn't rendered.
    """
    every = graph.by_type(CONTAINER)
    filled = {name: item for name, item in every.items() if item.inputs.get("start") is False}
    running = {name: item for name, item in every.items() if name not in filled}
    sources = {
        volume["volumeName"]: item for item in filled.values() for volume in item.inputs.get("volumes", ())
    }
    files = {name: tuple(_files(name, item, sources)) for name, item in running.items()}
    networks = {item.inputs["name"]: name for name, item in graph.by_type(NETWORK).items()}
    volumes = {
        item.inputs["name"]: name
        for name, item in graph.by_type(VOLUME).items()
        if item.inputs["name"] not in sources
    }
    by_urn = {item.urn: name for name, item in running.items()}
    every_file = [file for service in sorted(files) for file in files[service]]
    data: dict[str, Any] = {
        "name": project,
        "services": {
            name: _service(item, files[name], networks, volumes, _after(item, by_urn, running))
            for name, item in sorted(running.items())
        },
        "networks": {name: _network(item.inputs) for name, item in sorted(graph.by_type(NETWORK).items())},
        "volumes": {
            name: {"name": item.inputs["name"], "labels": _labels(item.inputs)}
            for name, item in sorted(graph.by_type(VOLUME).items())
            if name in volumes.values()
        },
        "configs": {_key(file): {"file": f"./{file.source}"} for file in every_file if not file.secret},
        "secrets": {_key(file): {"file": f"./{file.source}"} for file in every_file if file.secret},
    }
    return Document(_escaped({key: value for key, value in data.items() if value}), files)


def _files(service: str, item: Resource, sources: Mapping[str, Resource]) -> list[File]:
    """What is uploaded into the volumes that the service mounts."""
    found: list[File] = []
    for volume in item.inputs.get("volumes", ()):
        if volume["volumeName"] not in sources:
            continue
        filler = sources[volume["volumeName"]]
        folder = f"{volume['containerPath']}/"
        uploads = filler.inputs.get("uploads", ())
        found += [_file(service, upload) for upload in uploads if upload["file"].startswith(folder)]
    return sorted(found, key=lambda file: file.target)


def _file(service: str, upload: Mapping[str, Data]) -> File:
    content = upload["content"]
    secret = isinstance(content, Secret) or content is UNKNOWN
    opened = content.value if isinstance(content, Secret) else content
    folder = SECRET_FOLDER if secret else CONFIG_FOLDER
    return File(
        source=f"{folder}/{service}{upload['file']}",
        target=upload["file"],
        content=None if opened is UNKNOWN else str(opened),
        secret=secret,
    )


def _key(file: File) -> str:
    """A name for Compose: `gateway-etc-mcp-gateway-config.yaml`."""
    return file.source.split("/", 1)[1].replace("/", "-")


def _after(item: Resource, by_urn: Mapping[str, str], running: Mapping[str, Resource]) -> dict[str, Any]:
    """What a service waits for, and until when."""
    names = sorted(by_urn[urn] for urn in item.dependencies if urn in by_urn)
    return {name: {"condition": _condition(running[name].inputs)} for name in names}


def _condition(inputs: Mapping[str, Any]) -> str:
    if inputs.get("mustRun") is False:
        return "service_completed_successfully"
    return "service_healthy" if inputs.get("healthcheck") else "service_started"


def _service(
    item: Resource,
    files: tuple[File, ...],
    networks: Mapping[str, str],
    volumes: Mapping[str, str],
    after: Mapping[str, Any],
) -> dict[str, Any]:
    inputs = item.inputs
    if unknown := sorted(inputs.keys() - _PLAIN.keys() - _TRANSLATED):
        raise PlatformError(
            f"container {item.name}: {unknown[0]} is not rendered to Compose", hint="use `--engine pulumi`"
        )
    kept = {
        volume["containerPath"]: volume
        for volume in inputs.get("volumes", ())
        if volume["volumeName"] in volumes
    }
    service: dict[str, Any] = {
        **{new: inputs[old] for old, new in _PLAIN.items() if inputs.get(old) not in (None, [])},
        **_limits(inputs),
        "cap_drop": inputs.get("capabilities", {}).get("drops"),
        "cap_add": inputs.get("capabilities", {}).get("adds"),
        "environment": dict(text.split("=", 1) for text in inputs.get("envs", ())),
        "labels": _labels(inputs),
        "logging": {"driver": inputs.get("logDriver"), "options": inputs.get("logOpts")},
        "healthcheck": _healthcheck(inputs.get("healthcheck")),
        "stop_grace_period": f"{inputs['stopTimeout']}s" if "stopTimeout" in inputs else None,
        "tmpfs": [f"{path}:{options}" for path, options in sorted(inputs.get("tmpfs", {}).items())],
        "networks": {
            networks[network["name"]]: {"aliases": network["aliases"]} if network.get("aliases") else None
            for network in inputs.get("networksAdvanced", ())
        },
        "ports": [_port(port) for port in inputs.get("ports", ())],
        "volumes": [
            {
                "type": "volume",
                "source": volumes[volume["volumeName"]],
                "target": path,
                "read_only": bool(volume.get("readOnly")),
            }
            for path, volume in sorted(kept.items())
        ],
        "configs": [{"source": _key(file), "target": file.target} for file in files if not file.secret],
        "secrets": [{"source": _key(file), "target": file.target} for file in files if file.secret],
        "depends_on": dict(after),
        # What is built here is in no registry; asking one would only fail.
        "pull_policy": "never" if str(inputs["image"]).startswith(_BUILT_HERE) else None,
    }
    return {key: value for key, value in service.items() if value not in (None, [], {})}


def _limits(inputs: Mapping[str, Any]) -> dict[str, Any]:
    mebibytes = {"memory": "mem_limit", "memorySwap": "memswap_limit"}
    limits: dict[str, Any] = {new: f"{inputs[old]}m" for old, new in mebibytes.items() if old in inputs}
    ulimits = {item["name"]: item for item in inputs.get("ulimits", ())}
    if (processes := ulimits.pop("nproc", None)) is not None:
        limits["pids_limit"] = processes["hard"]
    if ulimits:
        limits["ulimits"] = {
            name: {"soft": item["soft"], "hard": item["hard"]} for name, item in sorted(ulimits.items())
        }
    return limits


def _healthcheck(check: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if check is None:
        return None
    names = {"tests": "test", "startPeriod": "start_period"}
    return {names.get(key, key): value for key, value in check.items()}


def _port(port: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "target": port["internal"],
        "published": str(port["external"]),
        "host_ip": port["ip"],
        "protocol": port["protocol"],
    }


def _network(inputs: Mapping[str, Any]) -> dict[str, Any]:
    names = {"name": "name", "driver": "driver", "internal": "internal", "options": "driver_opts"}
    return {new: inputs[old] for old, new in names.items() if old in inputs} | {"labels": _labels(inputs)}


def _labels(inputs: Mapping[str, Any]) -> dict[str, str]:
    return {item["label"]: item["value"] for item in inputs.get("labels", ())}


def _escaped(value: Any) -> Any:  # noqa: ANN401 - any piece of the document
    """With every `$` doubled, so that Compose takes none for a variable."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value
