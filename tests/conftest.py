"""What holds for the whole suite."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.register_profile(
    "fuzz", max_examples=2500, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")


def pytest_configure() -> None:
    """Undo an ignored Ctrl-C, which a suite in the background of a script inherits and its children too.

    Tests interrupt programs as a user would (POSIX shells, "Asynchronous Lists").
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
