"""The settings of the stack that Pulumi runs: the only place that reads Pulumi's configuration.

Apart from `parse`, so that a command which only reads settings does not load Pulumi.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret

from infra.settings.model import Settings
from infra.settings.source import parse


def load() -> Settings:
    """The settings of the stack that Pulumi runs.

    Raises:
        PlatformError: Some of the configuration is unknown, malformed or contradicts itself; a line for each.
    """
    configured: dict[str, Any] = {**get_config_env(), **CONFIG.get()}
    secrets = frozenset(key for key in configured if is_config_secret(key))
    return parse(pulumi.get_stack(), configured, secrets)
