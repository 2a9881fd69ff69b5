"""Addresses that mean the same everywhere."""

from __future__ import annotations

from typing import Final

POD_CREDENTIALS: Final = ("169.254.170.23/32", "fd00:ec2::23/128")
"""The node's EKS Pod Identity agent: it hands out the credentials of a pod's role."""

CREDENTIALS: Final = ("169.254.169.254/32", "fd00:ec2::254/128", *POD_CREDENTIALS)
"""Where clouds hand out credentials: first a node's, to whoever asks, then those of pods."""
