"""The lock of tools for the gateway: in a ConfigMap of its own, which changes in running pods.

The keys that sign it are part of the gateway's configuration: another key is another gateway.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.components.mounts import Files, Mount, files
from infra.errors import PlatformError
from infra.labels import labels
from infra.naming import GATEWAY_LOCK, Stack
from infra.settings.pinning import Pinning

LOCK_PATH: Final = "/etc/mcp-gateway-lock"
LOCK_FILE: Final = "lock.json"

_PROJECT: Final = Path(__file__).resolve().parents[2]
_MOST_BYTES: Final = 1000 * 1000
"""What fits a ConfigMap, with something to spare for the rest of the object."""


def build_config(pinning: Pinning, config_path: str) -> dict[str, Any]:
    """What the gateway's configuration says of it."""
    keys = [f"{config_path}/{_key_file(index)}" for index in range(len(pinning.public_key_files))]
    return {
        "lock_file": f"{LOCK_PATH}/{LOCK_FILE}",
        "public_key_files": keys,
        "mode": pinning.mode,
        "prompts": pinning.prompts,
    }


def read_keys(pinning: Pinning | None) -> dict[str, str]:
    """The public keys' files; none where nothing is pinned.

    Raises:
        PlatformError: One can't be read, or is a private key.
    """
    if pinning is None:
        return {}
    keys = {
        _key_file(index): _read("public_key_files", path)
        for index, path in enumerate(pinning.public_key_files)
    }
    for path, text in zip(pinning.public_key_files, keys.values(), strict=True):
        if "PRIVATE KEY" in text:
            raise PlatformError(
                f"gateway.pinning.public_key_files: {path} is a private key, which no cluster must get",
                hint="make a new pair with mcpctl tools keygen, and name its public key here",
            )
    return keys


def read_lock(pinning: Pinning) -> dict[str, str]:
    """The ConfigMap's content. The gateway checks who signed it.

    Raises:
        PlatformError: The lock can't be read, or is too large.
    """
    text = _read("lock_file", pinning.lock_file)
    if len(text.encode()) > _MOST_BYTES:
        raise PlatformError(
            f"gateway.pinning.lock_file: {pinning.lock_file} is larger than a ConfigMap can be",
            hint="offer fewer tools behind one gateway: models choose badly among so many",
        )
    return {LOCK_FILE: text}


def lock_mount() -> Mount:
    """Where the gateway finds the lock."""
    return files("lock", LOCK_PATH, config=Files(name=GATEWAY_LOCK, paths={LOCK_FILE: LOCK_FILE}))


def place_lock(stack: Stack, component: str, pinning: Pinning, opts: pulumi.ResourceOptions) -> None:
    """Declare the ConfigMap."""
    v1.ConfigMap(
        GATEWAY_LOCK,
        metadata=ObjectMetaArgs(
            name=GATEWAY_LOCK, namespace=stack.namespace, labels=labels(stack, component, "gateway")
        ),
        data=read_lock(pinning),
        opts=opts,
    )


def _key_file(index: int) -> str:
    # The underscore keeps it apart from issuers' keys, whose names are DNS labels.
    return f"pinning_{index}.pem"


def _read(setting: str, path: str) -> str:
    try:
        return (_PROJECT / path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlatformError(
            f"gateway.pinning.{setting} = {path}: can't be read as text: {error}",
            hint="mcpctl tools keygen makes the keys, mcpctl tools lock the lock",
        ) from error
