"""Which of the gateway's replicas answers."""

import platform
from typing import Final

REPLICA: Final = platform.node()
