"""A short hash of configuration files, so that pods roll when a file changes. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

_DIGITS: Final = 16


def config_hash(files: Mapping[str, str]) -> str:
    """Hash of file names and contents, whatever their order: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:_DIGITS]
