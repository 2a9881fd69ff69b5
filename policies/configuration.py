"""YAML files inside ConfigMaps, as nodes whose paths lead to the file."""

from __future__ import annotations

from typing import Final

from policies.node import MalformedError, Node

_LONGEST: Final = 1024 * 1024
"""What fits into a ConfigMap."""
_DEEPEST: Final = 100


def read(file: Node) -> Node:
    """What a configuration file says; unknown when the file is.

    Raises:
        MalformedError: It is no YAML, or none that a service would read.
    """
    import yaml  # noqa: PLC0415 - only where there is such a file; the other rules need no library

    text = file.text()
    if text is None:
        return file
    depth = 0
    try:
        if len(text) > _LONGEST:
            raise MalformedError(file, "a file of a size that fits into a ConfigMap")
        for event in yaml.parse(
            text, yaml.CSafeLoader
        ):  # the loader itself recurses, and would end the process
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise MalformedError(file, "YAML that is less deeply nested")
        return Node(yaml.load(text, yaml.CSafeLoader), file.path)
    except yaml.YAMLError:
        raise MalformedError(file, "YAML") from None
