"""A stand-in for any of Pulumi's providers: takes whatever is declared, and makes up what a real one would.

Pulumi's engine starts it as `pulumi-resource-NAME` and reads its port: with it, the engine, its state and its
policies are real, and nothing is deployed. Passwords and keys that it makes hold `CANARY`.
"""

# Methods leave out the names of arguments that they do not use.
# pyright: reportIncompatibleMethodOverride=false
# ruff: noqa: N802 - methods have the names of the gRPC service

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra.engine import wire

CANARY: Final = "CANARY"
MESSAGES: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_DIGEST: Final = f"sha256:{'0' * 64}"


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Every method has the name and the messages of the gRPC service."""

    def GetPluginInfo(self, *_: object) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version="99.0.0")

    def CheckConfig(self, request: provider_pb2.CheckRequest, _: object) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, *_: object) -> provider_pb2.DiffResponse:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, *_: object) -> provider_pb2.ConfigureResponse:
        return provider_pb2.ConfigureResponse(acceptSecrets=True, acceptResources=True, supportsPreview=True)

    def Check(self, request: provider_pb2.CheckRequest, _: object) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: provider_pb2.DiffRequest, _: object) -> provider_pb2.DiffResponse:
        old, new = _plain(request.old_inputs), _plain(request.news)
        changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        kinds = provider_pb2.DiffResponse
        return kinds(changes=kinds.DIFF_SOME if changed else kinds.DIFF_NONE, diffs=changed)

    def Create(self, request: provider_pb2.CreateRequest, _: object) -> provider_pb2.CreateResponse:
        inputs = json_format.MessageToDict(request.properties)
        outputs = inputs | _made(request.urn, inputs, known=not request.preview)
        return provider_pb2.CreateResponse(
            id="" if request.preview else request.urn.rpartition("::")[2],
            properties=json_format.ParseDict(outputs, struct_pb2.Struct()),
        )

    def Read(self, request: provider_pb2.ReadRequest, _: object) -> provider_pb2.ReadResponse:
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    def Update(self, request: provider_pb2.UpdateRequest, _: object) -> provider_pb2.UpdateResponse:
        outputs = json_format.MessageToDict(request.olds) | json_format.MessageToDict(request.news)
        return provider_pb2.UpdateResponse(properties=json_format.ParseDict(outputs, struct_pb2.Struct()))

    def Delete(self, *_: object) -> empty_pb2.Empty:
        return empty_pb2.Empty()


def _made(urn: str, inputs: dict[str, Any], *, known: bool) -> dict[str, Any]:
    """The outputs of a resource that aren't its inputs, so far as the program reads them."""
    _, _, qualified, name = urn.split("::")
    package = qualified.rpartition("$")[2].partition(":")[0]
    canary = {wire.SIGNATURE: wire.SECRET, "value": f"{CANARY}-{name}" if known else wire.UNKNOWN_TEXT}
    tag = inputs.get("tags", [""])[0]
    made: dict[str, dict[str, Any]] = {
        "aws": {"arn": f"arn:aws:stand-in:::{name}", "keyId": name} if known else {},
        "docker-build": {"ref": f"{tag}@{_DIGEST}" if known else tag},
        "random": {"result": canary},
        "tls": {"privateKeyPem": canary, "publicKeyPem": canary},
    }
    return made.get(package, {})


def _plain(values: struct_pb2.Struct) -> dict[str, Any]:
    """Inputs without marks of secrecy, which change nothing."""
    revealed = _revealed(json_format.MessageToDict(values))
    assert isinstance(revealed, dict)
    return revealed


def _revealed(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(wire.SIGNATURE) == wire.SECRET:
            return _revealed(value["value"])
        return {key: _revealed(item) for key, item in value.items()}
    return [_revealed(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(), options=MESSAGES)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()
