"""What every part of the configuration is made of."""

from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MEBIBYTE: Final = 1024 * 1024
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

Seconds = Annotated[float, Field(gt=0, le=3600)]


def _has_more(parts: SplitResult) -> bool:
    """Whether an address has what no setting needs; `/config` would show a password in one."""
    return bool(parts.username is not None or parts.query or parts.fragment)


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or _has_more(parts):
        raise ValueError("must be an absolute http(s) URL without user name, query or fragment")
    return value


def https_unless_local(value: str) -> str:
    """An address whose answers are trusted; raises ValueError where others could write them."""
    parts = urlsplit(value)
    local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if parts.scheme != "https" and not local:
        raise ValueError("must be https (http only to this machine)")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]


class Part(BaseModel):
    """A mapping in which every key is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")
