"""Child processes that can't outlive their parent, however it ends.

The parent holds the only writing end of the child's standard input; the child ends itself when that closes.
`python -m infra.engine.lifeline PATH` runs any Python program that way.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
from typing import Final

LOST: Final = 70  # exit code of a child whose parent is gone (EX_SOFTWARE of sysexits.h)


def end_with_parent() -> None:
    """End this process as soon as standard input is closed. Call it once, in the child."""
    threading.Thread(target=_wait, name="lifeline", daemon=True).start()


def _wait() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(LOST)


if __name__ == "__main__":
    end_with_parent()
    runpy.run_path(sys.argv[1], run_name="__main__")
