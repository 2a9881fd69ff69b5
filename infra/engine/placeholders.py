"""What must not be deployed: a production stack with values of the example."""

from __future__ import annotations

from pathlib import Path

from infra.engine.project import Project, section
from infra.engine.stack_file import with_places
from infra.errors import PlatformError
from infra.naming import PROJECT
from infra.settings.placeholders import HINT, lines, placeholders


def refuse_placeholders(root: Path, stack: str) -> None:
    """Refuse a production stack with values of the example. Encrypted ones are the user's own.

    Args:
        root: The folder of `Pulumi.yaml`.
        stack: The stack's name.

    Raises:
        PlatformError: There are some; a line for each.
    """
    file = root / f"Pulumi.{stack}.yaml"
    if not file.is_file():
        return  # whoever evaluates the stack says which there are
    config = {str(key).removeprefix(f"{PROJECT}:"): value for key, value in section(file, "config").items()}
    if config.get("environment") != "production":
        return
    if left := placeholders(config):
        found = with_places(lines(stack, left), Project(PROJECT, stack, root, root, {}))
        raise PlatformError(found, hint=f"Nothing was changed. {HINT}")
