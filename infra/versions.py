"""Versions that the platform pins, in one place."""

from __future__ import annotations

from typing import Final

PLATFORM: Final = "0.1.0"
"""The project's own version, as in pyproject.toml; images carry it as a label."""

POD_SECURITY: Final = "v1.36"
"""The Kubernetes release whose Pod Security "restricted" rules a namespace enforces."""

BASE_IMAGE: Final = (
    "docker.io/library/debian:trixie-slim"
    "@sha256:d7e12182ce18b85b93007c1dedf31f2d29e01ccf3182cc4017c709b6259bc132"
)
"""What every image of ours is built from: Debian 13.6, an index of several architectures."""
