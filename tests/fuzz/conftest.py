"""The gateway in front of an odd server: within the test's process, and as a process of its own."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from services.kit.logs import configure_logging
from tests.fuzz.inprocess import InProcess
from tests.services.gateway.conftest import Tokens, lasting, launcher, odd, shared, tokens

__all__ = ["lasting", "launcher", "odd", "shared", "tokens"]


@pytest.fixture(scope="module")
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logging("gateway", "info", stream)
    yield stream
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def app(log: io.StringIO, odd: str, tokens: Tokens) -> Iterator[InProcess]:
    config = {
        "auth": tokens.auth,
        "servers": [{"name": "odd", "urls": [odd]}],
        "upstream": {"breaker": {"min_calls": 1_000_000}, "timeout_seconds": 20, "list_seconds": 20},
        "requests": {"input_seconds": 1},
    }
    found = InProcess(config, log)
    yield found
    found.close()
