"""How servers are found: named by hand, or by label in Kubernetes."""

from typing import Protocol

from services.gateway.config import GatewayConfig
from services.gateway.discovery.kubernetes import DiscoveryError, KubernetesDiscovery
from services.gateway.discovery.static import StaticDiscovery
from services.gateway.fleet import Fleet
from services.gateway.metrics import GatewayMetrics

__all__ = ["Discovery", "DiscoveryError", "discovery_for"]


class Discovery(Protocol):
    """Keeps a fleet up to date."""

    async def run(self) -> None:
        """Discover until cancelled."""
        ...

    def problem(self) -> str | None:
        """Why the fleet can't be relied on yet; None once it was complete for the first time."""
        ...


def discovery_for(config: GatewayConfig, fleet: Fleet, metrics: GatewayMetrics) -> Discovery:
    """The discovery that the configuration asks for.

    Raises:
        DiscoveryError: it can't begin here.
    """
    if config.discovery is not None:
        return KubernetesDiscovery(config.discovery.kubernetes, fleet, metrics.discovery_errors)
    return StaticDiscovery(config.servers, config.upstream, fleet, metrics.discovery_errors)
