"""How tools are found among many: the configuration of it."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from services.gateway.config_parts import Part


class Search(Part):
    """A tool of the gateway's own, `search_tools`, that finds others by what they do."""

    list_all: bool = False
    """Whether lists of tools show all of them, too; else the search, and what is `always_listed`."""
    always_listed: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Tools by their names as callers see them; `*` stands for anything."""
    max_results: Annotated[int, Field(ge=1, le=100)] = 20
    """The most that one search may ask for."""

    @model_validator(mode="after")
    def _listed_one_way(self) -> Self:
        if self.list_all and self.always_listed:
            raise ValueError("always_listed has no meaning with list_all: true")
        return self
