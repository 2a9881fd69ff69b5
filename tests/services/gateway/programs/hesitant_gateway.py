"""The gateway, which tells of changes later: on a busy machine it may hear of one again after a while."""

from services.gateway.__main__ import main
from services.gateway.listening import bus

bus.COALESCE_SECONDS = 3.0  # pyright: ignore[reportConstantRedefinition] - in this process only
main()
