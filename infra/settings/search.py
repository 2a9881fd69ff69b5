"""Settings of the search for tools among many; as in the gateway's `config_search.py`."""

from __future__ import annotations

from pydantic import Field, model_validator

from infra.settings.fields import Group, Text, reject


class Search(Group):
    """A tool of the gateway's own, `search_tools`, that finds others by what they do."""

    list_all: bool = False
    """Whether lists of tools show all of them, too; else the search, and what is `always_listed`."""
    always_listed: tuple[Text, ...] = ()
    """Tools by their names as clients see them; `*` stands for anything."""
    max_results: int = Field(default=20, ge=1, le=100)
    """The most that one search may ask for."""

    @model_validator(mode="after")
    def _listed_one_way(self) -> Search:
        if self.list_all and self.always_listed:
            reject("always_listed", "has no meaning with list_all: true", list(self.always_listed))
        return self
