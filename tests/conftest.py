"""What holds for the whole suite."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Undo an ignored Ctrl-C, which a suite in the background of a script inherits and its children too.

    Tests interrupt programs as a user would (POSIX shells, "Asynchronous Lists").
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
