"""What resources of AWS cost a month."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra.comparison.cost_pods import Amount, UnknownCostError, known, number
from infra.comparison.prices import HOURS, Prices
from infra.engine.graph import Resource

BY_USE: Final = "charged by use"


def month(resource: Resource, prices: Prices) -> Amount | None:
    """What one costs; None for what costs nothing by itself.

    Raises:
        UnknownCostError: It is charged by use, or has no price in the table.
    """
    if prices.is_free(resource.type):
        return None
    if (price := prices.month.get(resource.type)) is not None:
        return Amount.of(price)
    if resource.type == "aws:rds/instance:Instance":
        return _database(resource.inputs, prices)
    if resource.type == "aws:elasticache/replicationGroup:ReplicationGroup":
        return _cache(resource.inputs, prices)
    raise UnknownCostError(BY_USE if resource.type in prices.by_use else "it has no price in the table")


def _database(inputs: Mapping[str, Any], prices: Prices) -> Amount:
    hour = _price(prices.rds_instance_hour, inputs.get("instanceClass"))
    storage = _price(prices.rds_storage_gib_month, inputs.get("storageType", "gp2"))
    least, most = inputs.get("allocatedStorage"), inputs.get("maxAllocatedStorage")
    sizes = Amount(number(least), number(most if most is not None else least))
    copies = 2 if known(inputs.get("multiAz"), "whether there is a standby") else 1
    return (Amount.of(hour * HOURS) + sizes * Amount.of(storage)) * Amount.of(copies)


def _cache(inputs: Mapping[str, Any], prices: Prices) -> Amount:
    hour = _price(prices.elasticache_node_hour, inputs.get("nodeType"))
    if known(inputs.get("engine"), "its engine") == "valkey":
        hour *= prices.valkey_share
    nodes = inputs.get("numCacheClusters")
    if nodes is None:
        nodes = number(inputs.get("numNodeGroups", 1)) * (number(inputs.get("replicasPerNodeGroup", 0)) + 1)
    return Amount.of(hour * HOURS * number(nodes))


def _price(table: Mapping[str, float], name: object) -> float:
    chosen = str(known(name, "its class"))
    price = table.get(chosen)
    if price is None:
        raise UnknownCostError(f"{chosen} has no price in the table")
    return price
