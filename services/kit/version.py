"""The platform's version, as its services report it (a test keeps it equal to pyproject's)."""

from typing import Final

VERSION: Final = "0.1.0"
