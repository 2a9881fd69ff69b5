"""The prices that cost is estimated with: a small table of ours, and what a user puts in its place."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.errors import PlatformError

OURS: Final = Path(__file__).with_name("prices.yaml")
HOURS: Final = 730
"""A month's hours, as clouds count them."""

Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Prices(BaseModel):
    """What things cost; prices.yaml says what each key means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: dt.date
    region: str
    source: str
    currency: str
    cpu_hour: Price
    memory_gib_hour: Price
    volume_gib_month: Mapping[str, Price]
    load_balancer_hour: Price
    rds_instance_hour: Mapping[str, Price]
    rds_storage_gib_month: Mapping[str, Price]
    elasticache_node_hour: Mapping[str, Price]
    valkey_share: Price
    month: Mapping[str, Price]
    by_use: tuple[str, ...]
    free: tuple[str, ...]

    @property
    def title(self) -> str:
        """`list prices in USD, us-east-1, 2026-11-21`."""
        return f"prices in {self.currency}, {self.region}, {self.date}"

    def is_free(self, type_: str) -> bool:
        """Whether a resource of the type costs nothing by itself."""
        return any(type_.startswith(item) if item.endswith("/") else type_ == item for item in self.free)


def load(override: Path | None = None) -> Prices:
    """Our prices, and in their place those of a file: its keys replace ours, and add to our tables.

    Raises:
        PlatformError: The file is not there, not YAML, or has unknown keys or what is no price.
    """
    if override is None:
        return _ours()
    content = _read(override)
    missing = {"date", "source"} - content.keys()
    if missing:
        raise PlatformError(
            f"{override}: {' and '.join(sorted(missing))} missing",
            hint="say since when the prices hold, and where they are from",
        )
    merged = _ours().model_dump()
    for key, value in content.items():
        ours = merged.get(key)
        merged[key] = {**ours, **value} if isinstance(ours, dict) and isinstance(value, dict) else value
    try:
        return Prices.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise PlatformError(
            f"{override}: {key}: {first['msg']}", hint=f"{OURS.name} in the program has every key"
        ) from None


@cache
def _ours() -> Prices:
    return Prices.model_validate(yaml.safe_load(OURS.read_text(encoding="utf-8")))


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlatformError(f"{file}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PlatformError(f"{file}:{line}: {error.problem}") from None
    if not isinstance(content, dict):
        raise PlatformError(f"{file}: must hold keys and prices")
    return content
