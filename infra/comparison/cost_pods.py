"""What pods and volumes cost a month."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.comparison.prices import HOURS, Prices
from infra.engine.graph import UNKNOWN, Data, Secret
from infra.quantities import cpu_millis, size_bytes

_GIB: Final = 2**30


class UnknownCostError(Exception):
    """Why nobody can tell what something costs."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A number that is at least `low` and at most `high`: of money, or of replicas."""

    low: float
    high: float

    @classmethod
    def of(cls, value: float) -> Amount:
        """A number that is certain."""
        return cls(value, value)

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.low + other.low, self.high + other.high)

    def __sub__(self, other: Amount) -> Amount:
        """The change of the least, and of the most."""
        return Amount(self.low - other.low, self.high - other.high)

    def __mul__(self, other: Amount) -> Amount:
        return Amount(self.low * other.low, self.high * other.high)


def pod_month(spec: Mapping[str, Any], prices: Prices) -> Amount:
    """What a pod costs by what it requests: the larger of what starts it and what runs in it.

    Raises:
        UnknownCostError: A container requests nothing, or something that is not known yet.
    """
    hour = _requested(spec, "cpu", _cores) * prices.cpu_hour
    hour += _requested(spec, "memory", _gib) * prices.memory_gib_hour
    return Amount.of(hour * HOURS)


def volume_month(spec: Mapping[str, Any], prices: Prices) -> Amount:
    """What a volume costs by its size and class.

    Raises:
        UnknownCostError: The size is not known, or the class has no price.
    """
    requests = mapping(
        mapping(spec.get("resources"), "the volume's size").get("requests"), "the volume's size"
    )
    size = requests.get("storage")
    name = known(spec.get("storageClassName"), "the storage class") or ""
    price = prices.volume_gib_month.get(str(name))
    if price is None:
        raise UnknownCostError(f"storage class {name} has no price")
    return Amount.of(_quantity(size, _gib, "the volume's size") * price)


def known(value: Data, what: str) -> Data:
    """A value that the program tells.

    Raises:
        UnknownCostError: It is not known yet, or a secret, of which no message may tell.
    """
    if value is UNKNOWN:
        raise UnknownCostError(f"{what} is known after up")
    if isinstance(value, Secret):
        raise UnknownCostError(f"{what} is secret")
    return value


def mapping(value: Data, what: str) -> Mapping[str, Any]:
    """The keys of a part of an object; none where it has no such part.

    Raises:
        UnknownCostError: As `known`.
    """
    found = known(value, what)
    return found if isinstance(found, Mapping) else {}


def items(value: Data, what: str) -> list[Mapping[str, Any]]:
    """The items of a list of parts; none where there is no such list.

    Raises:
        UnknownCostError: As `known`, for one of them, too.
    """
    found = known(value, what)
    return [mapping(item, what) for item in found] if isinstance(found, list) else []


def number(value: Data) -> float:
    """A count.

    Raises:
        UnknownCostError: It is not known yet, or none.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise UnknownCostError("how many there are is known after up")


def _requested(spec: Mapping[str, Any], resource: str, read: Callable[[str], float]) -> float:
    """What the scheduler sets aside (Kubernetes' documentation, "Sidecar Containers")."""
    running, starting = 0.0, 0.0
    for container in items(spec.get("initContainers"), "what starts a pod"):
        amount = _request(container, resource, read)
        if container.get("restartPolicy") == "Always":
            running += amount
            starting = max(starting, running)
        else:
            starting = max(starting, running + amount)
    containers = items(spec.get("containers"), "what runs in a pod")
    running += sum(_request(container, resource, read) for container in containers)
    return max(running, starting)


def _request(container: Mapping[str, Any], resource: str, read: Callable[[str], float]) -> float:
    what = f"container {container.get('name')}: {resource}"
    resources = mapping(container.get("resources"), what)
    requests, limits = mapping(resources.get("requests"), what), mapping(resources.get("limits"), what)
    return _quantity(requests.get(resource, limits.get(resource)), read, what)


def _quantity(value: Data, read: Callable[[str], float], what: str) -> float:
    if value is None:
        raise UnknownCostError(f"{what} is not requested")
    text = str(known(value, what))
    try:
        return read(text)
    except ValueError:
        raise UnknownCostError(f"{what}: {text} is not understood") from None


def _cores(text: str) -> float:
    return cpu_millis(text) / 1000


def _gib(text: str) -> float:
    return size_bytes(text) / _GIB
