"""A stack's settings: one frozen model, read once, before anything else happens."""

from infra.settings.model import Settings
from infra.settings.source import parse

__all__ = ["Settings", "parse"]
