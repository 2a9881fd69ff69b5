"""Settings of streams on which clients hear of changes; as in the gateway's `config_subscriptions.py`."""

from pydantic import Field

from infra.settings.fields import Group


class Subscriptions(Group):
    """`subscriptions/listen`; the numbers are those of one replica."""

    max_streams: int = Field(default=2000, ge=0, le=100_000)
    """Open at once; 0: not offered."""
    max_streams_per_principal: int = Field(default=100, ge=1, le=100_000)
    max_resources: int = Field(default=100, ge=0, le=10_000)
    """That one stream may listen to."""
    max_resources_per_server: int = Field(default=2000, ge=1, le=10_000)
    """That all streams together may listen to."""
    keep_alive_seconds: float = Field(default=15, gt=0, le=3600)
    """The longest that nothing is sent: less than what load balancers on the way wait."""
