from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def helm() -> Path:
    """Helm, as the platform builds it."""
    path = Path("/var/lib/mcp-platform/tools/dev/helm")
    if not path.exists():
        pytest.skip("helm is not built")
    return path
