"""What makes and reads have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.validate import ParamValidator

from infra.engine.graph import Resource
from tests.infra.aws.server import Server

Inputs = Mapping[str, Any]


def pascal(value: Any, **special: str) -> Any:
    """Pulumi's camelCase as boto3's PascalCase."""
    if isinstance(value, Mapping):
        return {
            special.get(key, key[0].upper() + key[1:]): pascal(it, **special) for key, it in value.items()
        }
    if isinstance(value, list):
        return [pascal(it, **special) for it in value]
    return value


class Maker:
    """Makes resources by boto3, whose requests botocore checks against AWS's service models; reads them back.

    Methods `make_TYPE` and `read_TYPE` take a resource's name and inputs.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ids: dict[str, str] = {}
        """What AWS called a resource, by type and name: for those that refer to it."""

    def make(self, resource: Resource) -> None:
        """Make it as its inputs say."""
        self._step("make", resource.type)(resource.name, resource.inputs)

    def read(self, resource: Resource) -> dict[str, Any]:
        """Its inputs, as AWS tells them; those that can't be read back are left out."""
        return self._step("read", resource.type)(resource.name, resource.inputs)

    def check(self, service: str, operation: str, **parameters: Any) -> None:
        """Hold a request to AWS's service model only: moto doesn't know the operation."""
        model = self.server.client(service).meta.service_model.operation_model(operation)
        report = ParamValidator().validate(parameters, model.input_shape)
        assert not report.has_errors(), report.generate_report()

    def _step(self, verb: str, kind: str) -> Callable[[str, Inputs], Any]:
        service, _, short = kind.removeprefix("aws:").partition("/")
        name = f"{verb}_{service}_{short.rpartition(':')[2]}"
        found = getattr(self, name, None)
        assert found is not None, f"the test can't {verb} a {kind}; teach it: {name}"
        return found
