"""Puts pinning together, as far as it is configured."""

from typing import Any

from prometheus_client import CollectorRegistry

from services.gateway.authorization import Kind
from services.gateway.background import Background
from services.gateway.config_pinning import Pinning
from services.gateway.fleet import Fleet, Server
from services.gateway.list_pages import ListPages
from services.gateway.messages import RawObject
from services.gateway.metrics import GatewayMetrics
from services.gateway.names import Names
from services.gateway.pinning.inventory import Inventory
from services.gateway.pinning.listing import Listings
from services.gateway.pinning.lock_file import LockFile
from services.gateway.pinning.pins import Pins
from services.gateway.pinning.withheld import Register
from services.gateway.targets import Target
from services.kit.pins import KINDS, TOOLS


class PinBoard:
    """Where everybody asks what may be shown and used; everything may where no lock is configured."""

    def __init__(
        self, settings: Pinning | None, metrics: GatewayMetrics, registry: CollectorRegistry
    ) -> None:
        """Read the lock.

        Raises:
            LockError: the lock can't be used.
            PinKeyError: a key can't be used.
        """
        self._settings = settings
        self._metrics = metrics
        self._lock = None if settings is None else LockFile(settings, metrics.lock_reloads)
        self._register = Register(
            metrics.violations, enforced=settings is not None and settings.mode == "enforce"
        )
        registry.register(self._register)
        self._pins: Pins | None = None

    def start(self, fleet: Fleet, pages: ListPages, names: Names, seconds: float, tasks: Background) -> None:
        """Begin to hold servers to it.

        Args:
            fleet: the servers.
            pages: the way to their lists.
            names: how callers see their names.
            seconds: what a replica has to list everything.
            tasks: what watches.
        """
        kinds = KINDS if self._settings is None or self._settings.prompts else (TOOLS,)
        listings = Listings(pages, kinds, seconds)
        self.inventory = Inventory(fleet, listings)
        if self._settings is None or self._lock is None:
            return
        pins = Pins(self._settings, self._lock, fleet, listings, names, self._metrics, self._register)
        self._lock.on_change = pins.lock_changed
        self._pins = pins
        tasks.keep("watching the lock", self._lock.watch)
        tasks.keep("watching tools", pins.watch)

    async def stop(self) -> None:
        """Stop asking servers."""
        if self._pins is not None:
            await self._pins.close()

    async def admit(self, server: Server, target: Target) -> None:
        """See `Pins.admit`."""
        if self._pins is not None:
            await self._pins.admit(server, target)

    def sift(self, server: Server, kind: Kind, items: dict[str, RawObject]) -> dict[str, RawObject]:
        """See `Pins.sift`."""
        return items if self._pins is None else self._pins.sift(server, kind, items)

    def reload(self) -> dict[str, str | None]:
        """Read the lock now; what is wrong with it, so that the old one stays. Empty without a lock."""
        return {} if self._lock is None else {"lock": self._lock.reload()}

    @property
    def edition(self) -> object:
        """The lock in force: another object whenever it has changed."""
        return None if self._lock is None else self._lock.approved

    def withheld(self) -> list[dict[str, Any]]:
        """What is withheld (or in mode `warn`, would be) at present, as JSON data."""
        return self._register.all()

    def state(self) -> dict[str, Any]:
        """The mode, the lock in force and what is withheld, as JSON data."""
        if self._settings is None or self._lock is None:
            return {"mode": "off", "lock": None, "withheld": []}
        lock = self._lock.approved
        shown = {"file": str(self._settings.lock_file), "definitions": lock.size, "key_id": lock.key_id}
        return {"mode": self._settings.mode, "lock": shown, "withheld": self.withheld()}
