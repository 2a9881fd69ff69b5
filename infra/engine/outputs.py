"""What a provider would answer, as far as it can be told without one (wire form in, wire form out)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from infra.engine import wire
from infra.engine.graph import Data

IMAGE_TYPE: Final = "docker-build:index:Image"
GENERATED_TYPES: Final = ("random:", "tls:")


def outputs_of(
    type_: str,
    inputs: Mapping[str, Any],
    *,
    generated: Mapping[str, Any],
    secret_outputs: Iterable[str],
) -> dict[str, Any]:
    """The outputs that are known now; the SDK takes each missing one for unknown.

    Args:
        type_: The resource's type token.
        inputs: Its inputs.
        generated: The values made for it earlier (passwords, keys), by output name.
        secret_outputs: The outputs that its SDK class declares secret.
    """
    outputs = dict(inputs)
    if type_.startswith(GENERATED_TYPES):
        outputs |= generated
    if type_ == IMAGE_TYPE and (tags := inputs.get("tags")) and isinstance(tags, list):
        outputs["ref"] = tags[0]
    for name in secret_outputs:
        if name in outputs and not _is_secret(outputs[name]):
            outputs[name] = wire.secret(outputs[name])
    return outputs


def _is_secret(value: Data) -> bool:
    return isinstance(value, dict) and value.get(wire.SIGNATURE) == wire.SECRET
