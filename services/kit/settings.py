"""Settings from the environment, with errors that name the variable and what it may hold."""

from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, SecretBytes, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kit.conventions import DRAIN_SECONDS, MCP_PORT, OPS_PORT

SettingsT = TypeVar("SettingsT", bound=BaseSettings)

Port = Annotated[int, Field(ge=0, le=65535)]
"""A TCP port to listen on; 0 lets the system choose one (it is then in the log)."""

HeadBytes = Annotated[int, Field(ge=4096, le=1024 * 1024)]
HeaderFields = Annotated[int, Field(ge=16, le=10_000)]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]


class SettingsError(Exception):
    """A setting that can't be used; the message is one line, meant for the operator."""


class ServiceSettings(BaseSettings):
    """What every service reads: where it listens, how it logs, how long it drains."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = "0.0.0.0"  # noqa: S104 - a container listens for its pod; what may reach it is the network's policy
    port: Port = MCP_PORT
    ops_port: Port = OPS_PORT
    log_level: LogLevel = "info"
    drain_seconds: Annotated[int, Field(ge=0, le=3600)] = DRAIN_SECONDS
    unread_seconds: Annotated[float, Field(gt=0, le=3600)] = 60
    """The longest that a client may leave unread what is sent to it; then its connection is closed."""
    max_head_bytes: HeadBytes = 64 * 1024
    """Of a request's line and headers together; more is refused (431)."""
    max_header_fields: HeaderFields = 100


def load(settings_class: type[SettingsT]) -> SettingsT:
    """Read `settings_class` from the environment.

    Raises:
        SettingsError: a variable is missing or holds what it may not; every such variable is in the message.
    """
    try:
        return settings_class()
    except ValidationError as error:
        prefix = settings_class.model_config.get("env_prefix", "")
        problems = [_problem(settings_class, prefix, detail) for detail in error.errors()]
        raise SettingsError("; ".join(problems)) from None


def _problem(settings_class: type[BaseSettings], prefix: str, detail: ErrorDetails) -> str:
    field, *rest = (str(part) for part in detail["loc"])
    variable = f"{prefix}{field}".upper() + "".join(f"[{part}]" for part in rest)
    if detail["type"] == "missing":
        return f"environment variable {variable} is not set"
    shown = "" if is_secret(settings_class, field) else f"={detail['input']!r}"
    return f"environment variable {variable}{shown}: {explain(detail)}"


def is_secret(settings_class: type[BaseSettings], field: str) -> bool:
    """Whether the field's type is one whose value must not be shown."""
    declared = settings_class.model_fields.get(field)
    return declared is not None and any(
        secret.__name__ in str(declared.annotation) for secret in (SecretStr, SecretBytes)
    )


def explain(detail: ErrorDetails) -> str:
    """Pydantic's own words for what is allowed, without its preamble."""
    message = str(detail["msg"])
    for preamble, replacement in (("Input should be ", "must be "), ("Value error, ", "")):
        if message.startswith(preamble):
            return replacement + message.removeprefix(preamble)
    return message[:1].lower() + message[1:]
