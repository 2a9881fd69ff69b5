"""JSON schemas of the types that requests and answers are made of."""

from typing import Any, Final, TypeAlias

import msgspec
from pydantic import BaseModel

Schema: TypeAlias = dict[str, Any]

_COMPONENTS: Final = "#/components/schemas/"
_SETTINGS: Final = "Settings"
"""Before the names of the configuration's parts, which others may have, too."""


class Schemas:
    """Collects the schemas that a document refers to."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:  # noqa: ANN401 - any type
        """The schema of a type: a reference, where it has a name."""
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return self._of_settings(kind)
        (found,), components = msgspec.json.schema_components([kind], ref_template=f"{_COMPONENTS}{{name}}")
        self.components |= components
        return found

    def _of_settings(self, model: type[BaseModel]) -> Schema:
        schema = model.model_json_schema(
            mode="serialization", ref_template=f"{_COMPONENTS}{_SETTINGS}{{model}}"
        )
        for name, part in schema.pop("$defs", {}).items():
            self.components[f"{_SETTINGS}{name}"] = part
        self.components[model.__name__] = schema
        return {"$ref": f"{_COMPONENTS}{model.__name__}"}
