"""Kubernetes EndpointSlices as far as discovery reads them, and the fleet that they describe."""

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from services.gateway.names import is_server_name
from services.kit.conventions import MCP_PATH, MCP_PORT, MCP_PORT_NAME, SERVER_LABEL

_SERVICE_LABEL: Final = "kubernetes.io/service-name"


class Metadata(msgspec.Struct, rename="camel"):
    """Of an object, or of a list of them."""

    name: str = ""
    labels: dict[str, str] | None = None
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class Conditions(msgspec.Struct):
    """An unset `ready` means yes, by the API's definition."""

    ready: bool | None = None
    terminating: bool | None = None


class SliceEndpoint(msgspec.Struct):
    """One pod's addresses (all of the slice's family) and state."""

    addresses: list[str]
    conditions: Conditions = msgspec.field(default_factory=Conditions)


class SlicePort(msgspec.Struct):
    """A port of every endpoint in the slice."""

    name: str | None = None
    port: int | None = None


class EndpointSlice(msgspec.Struct, rename="camel"):
    """`discovery.k8s.io/v1`."""

    metadata: Metadata
    address_type: str = "IPv4"
    endpoints: list[SliceEndpoint] | None = None
    ports: list[SlicePort] | None = None


class EndpointSliceList(msgspec.Struct):
    """The answer to a list."""

    metadata: Metadata
    items: list[EndpointSlice] | None = None


class WatchEvent(msgspec.Struct):
    """One line of a watch; what `object` is depends on `type`."""

    type: str
    object: msgspec.Raw


class Status(msgspec.Struct):
    """What the API answers instead of an object when something is wrong."""

    code: int = 0
    message: str = ""


def fleet_of(slices: Iterable[EndpointSlice]) -> dict[str, set[str]]:
    """Server name → URLs of its ready endpoints; a server without any is there too.

    Slices whose label is no server name, and ports that aren't named `mcp`, are left out.
    """
    fleet: dict[str, set[str]] = {}
    for item in slices:
        name = (item.metadata.labels or {}).get(SERVER_LABEL, "")
        if is_server_name(name):
            fleet.setdefault(name, set()).update(_urls(item))
    return fleet


def services_of(slices: Iterable[EndpointSlice], namespace: str) -> dict[str, set[str]]:
    """Server name → URL of its Service, as long as any of its endpoints is ready.

    The URL's fragment, which is never sent, tells one set of ready endpoints from another: new ones are asked
    anew what they are, and what was heard of others isn't said of them.
    """
    fleet: dict[str, set[str]] = {}
    ready: dict[tuple[str, str], set[str]] = {}
    for item in slices:
        labels = item.metadata.labels or {}
        name, service = labels.get(SERVER_LABEL, ""), labels.get(_SERVICE_LABEL, "")
        if is_server_name(name) and service:
            fleet.setdefault(name, set())
            ready.setdefault((name, service), set()).update(_urls(item))
    for (name, service), urls in ready.items():
        if urls:
            which = hashlib.sha256(" ".join(sorted(urls)).encode()).hexdigest()[:16]
            fleet[name].add(f"http://{service}.{namespace}.svc:{MCP_PORT}{MCP_PATH}#{which}")
    return fleet


def _urls(item: EndpointSlice) -> Iterable[str]:
    ports = [port.port for port in item.ports or [] if port.name == MCP_PORT_NAME and port.port]
    for endpoint in item.endpoints or []:
        ready = endpoint.conditions.ready is not False and not endpoint.conditions.terminating
        if ready and endpoint.addresses and item.address_type in {"IPv4", "IPv6"}:
            # The API allows several addresses but defines only the first one.
            address = endpoint.addresses[0]
            host = f"[{address}]" if item.address_type == "IPv6" else address
            yield from (f"http://{host}:{port}{MCP_PATH}" for port in ports)
