"""What holds for the whole suite."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path
from typing import Final

import httpcore2
from httpx2 import Timeout
from httpx2._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import HealthCheck, settings

settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.register_profile(
    "fuzz", max_examples=2500, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")

_LOOKS: Final = (
    *("CLICOLOR_FORCE", "COLUMNS", "FORCE_COLOR", "NO_COLOR", "PY_COLORS", "TERMINAL_WIDTH"),
    *("TTY_COMPATIBLE", "TTY_INTERACTIVE"),
    "GITHUB_ACTIONS",  # typer takes it for a terminal
)
"""By these, programs write as to a terminal, or to one of another width."""
# Where a test says nothing of how long it waits for an answer, a busy machine has time for it.
vars(DEFAULT_TIMEOUT_CONFIG).update(vars(Timeout(60)))


def pytest_configure() -> None:
    """Undo what the suite and its children inherit and tests would differ by.

    An ignored Ctrl-C, in the background of a script (POSIX shells, "Asynchronous Lists"): tests interrupt
    programs as a user would. And how whoever runs the suite wants things to look.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in _LOOKS:
        os.environ.pop(name, None)
    os.environ.setdefault("HOME", str(Path.home()))  # a service may have none; Go and npm keep caches there
    # Each client would load the certificates of all authorities anew, and most requests have a client.
    httpcore2.default_ssl_context = functools.cache(httpcore2.default_ssl_context)
