"""The counterpart of a Pulumi program: takes its registrations down instead of deploying them.

The SDK calls a monitor's and an engine's methods on whatever object it is configured with. These objects
live in the program's process, so that no port is opened and no secret leaves the process.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from google.protobuf import empty_pb2, json_format
from google.protobuf.message import Message
from pulumi.runtime.proto import alias_pb2, engine_pb2, resource_pb2

from infra.engine.graph import Data
from infra.engine.outputs import outputs_of
from infra.errors import PlatformError

STACK_TYPE: Final = "pulumi:pulumi:Stack"
FEATURES: Final = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
    resource_pb2.RESOURCE_MONITOR_FEATURE_REPLACE_WITH,
    resource_pb2.RESOURCE_MONITOR_FEATURE_PARAMETERIZATION,
    resource_pb2.RESOURCE_MONITOR_FEATURE_INVOKE_DEPENDS_ON,
)


class Recorder:
    """Pulumi's `ResourceMonitor`: every method has the name and the messages of the gRPC service.

    Attributes:
        resources: The registered resources in wire form, in order of registration, without the stack itself.
        stack_outputs: What the program exported, in wire form.
    """

    def __init__(
        self, project: str, stack: str, generated: Mapping[str, Mapping[str, Any]], root: Path
    ) -> None:
        self.resources: list[dict[str, Any]] = []
        self.stack_outputs: dict[str, Any] = {}
        self._prefix = f"urn:pulumi:{stack}::{project}"
        self._root = root
        self._generated = generated
        self._by_urn: dict[str, dict[str, Any]] = {}
        self._stack_urn = ""

    def GetDeploymentInfo(self, _: Message) -> resource_pb2.DeploymentInfo:  # noqa: N802, D102 - the service's name
        return resource_pb2.DeploymentInfo(supportedFeatures=FEATURES)

    def RegisterResource(  # noqa: N802 - the service's name
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        """Take a resource down and answer as a provider would in a preview."""
        urn = self._urn(request)
        if request.type == STACK_TYPE:
            self._stack_urn = urn
            return resource_pb2.RegisterResourceResponse(urn=urn)
        if urn in self._by_urn:
            raise PlatformError(f"two resources have the same name: {request.type} {request.name!r}")
        inputs = json_format.MessageToDict(request.object)
        outputs = outputs_of(
            request.type,
            inputs,
            generated=self._generated.get(urn, {}),
            secret_outputs=request.additionalSecretOutputs,
        )
        record: dict[str, Any] = {
            "type": request.type,
            "name": request.name,
            "urn": urn,
            "inputs": inputs,
            "outputs": outputs if request.custom else {},
            "custom": request.custom,
            "parent": "" if request.parent == self._stack_urn else request.parent,
            "dependencies": sorted(request.dependencies),
            "property_dependencies": {
                key: sorted(value.urns)
                for key, value in sorted(request.propertyDependencies.items())
                if value.urns
            },
            "provider": request.provider,
            "options": _options(request),
            "source": self._source(request),
        }
        self.resources.append(record)
        self._by_urn[urn] = record
        response = resource_pb2.RegisterResourceResponse(urn=urn)
        json_format.ParseDict(record["outputs"], response.object)
        return response

    def RegisterResourceOutputs(  # noqa: N802, D102 - the service's name
        self, request: resource_pb2.RegisterResourceOutputsRequest
    ) -> empty_pb2.Empty:
        outputs = json_format.MessageToDict(request.outputs)
        if request.urn == self._stack_urn:
            self.stack_outputs = outputs
        else:
            self._by_urn[request.urn]["outputs"] = outputs
        return empty_pb2.Empty()

    def ReadResource(  # noqa: N802 - the service's name
        self, request: resource_pb2.ReadResourceRequest
    ) -> resource_pb2.ReadResourceResponse:
        """A resource that somebody else manages: only what the program says of it is known."""
        return resource_pb2.ReadResourceResponse(urn=self._urn(request), properties=request.properties)

    def Invoke(  # noqa: N802, D102 - the service's name
        self, _: resource_pb2.ResourceInvokeRequest
    ) -> resource_pb2.ResourceInvokeResponse:
        return resource_pb2.ResourceInvokeResponse(unknown=True)

    def Call(self, request: resource_pb2.ResourceCallRequest) -> Message:  # noqa: N802, D102 - the service's name
        raise PlatformError(
            f"{request.tok} is a method of a provider plugin, which only Pulumi's engine can run",
            hint="use `--engine pulumi`",
        )

    def RegisterPackage(  # noqa: N802, D102 - the service's name
        self, request: resource_pb2.RegisterPackageRequest
    ) -> resource_pb2.RegisterPackageResponse:
        return resource_pb2.RegisterPackageResponse(ref=f"{request.name}@{request.version}")

    def SignalAndWaitForShutdown(self, _: Message) -> empty_pb2.Empty:  # noqa: N802, D102 - the service's name
        return empty_pb2.Empty()

    def _urn(self, request: resource_pb2.RegisterResourceRequest | resource_pb2.ReadResourceRequest) -> str:
        parent = request.parent if request.parent != self._stack_urn else ""
        qualified = f"{parent.split('::', 3)[2]}${request.type}" if parent else request.type
        return f"{self._prefix}::{qualified}::{request.name}"

    def _source(self, request: resource_pb2.RegisterResourceRequest) -> str:
        """The innermost line of the project that declares a resource, or "" where the SDK does not know."""
        for frame in request.stackTrace.frames:
            path = Path(unquote(urlsplit(frame.pc.uri).path))
            if path.is_relative_to(self._root) and "site-packages" not in path.parts:
                return f"{path.relative_to(self._root)}:{frame.pc.line}"
        return ""


class Log:
    """Pulumi's `Engine`: passes what the program logs on to standard error."""

    def Log(self, request: engine_pb2.LogRequest) -> empty_pb2.Empty:  # noqa: N802, D102 - the service's name
        if request.severity != engine_pb2.DEBUG:
            print(request.message, file=sys.stderr)
        return empty_pb2.Empty()

    def RequirePulumiVersion(self, _: Message) -> empty_pb2.Empty:  # noqa: N802, D102 - the service's name
        return empty_pb2.Empty()


def _options(request: resource_pb2.RegisterResourceRequest) -> dict[str, Any]:
    options = {
        "protect": request.protect,
        "retainOnDelete": request.retainOnDelete,
        "remote": request.remote,
        "ignoreChanges": list(request.ignoreChanges),
        "replaceOnChanges": list(request.replaceOnChanges),
        "deletedWith": request.deletedWith,
        "aliases": [_alias(alias) for alias in request.aliases] + list(request.aliasURNs),
    }
    return {key: value for key, value in options.items() if value}


def _alias(alias: alias_pb2.Alias) -> Data:
    return alias.urn or {key: value for key, value in json_format.MessageToDict(alias.spec).items() if value}
