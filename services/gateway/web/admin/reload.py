"""Reads again, at once, what is otherwise looked at from time to time."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from services.gateway.access import ADMIN_SCOPE
from services.gateway.authorization import PolicyFile
from services.gateway.issuers import Issuers
from services.gateway.pinning.assembly import PinBoard
from services.gateway.web.admin.replica import REPLICA
from services.gateway.web.operation import Operation, WebRequest

PATH: Final = "/admin/reload"

Reload = Callable[[], Awaitable[dict[str, str | None]]]
"""Says for each thing that it read what is wrong with it; None where nothing is. The old one then stays."""


class Reloaded(msgspec.Struct):
    """What was read again."""

    replica: str
    read: dict[str, str | None]
    """Each with what is wrong with it, so that the old one stays in force; null where nothing is."""


def operations(reloads: list[Reload]) -> list[Operation]:
    """The rows of the routing table."""

    async def reload(_request: WebRequest) -> Reloaded:
        read: dict[str, str | None] = {}
        for it in reloads:
            read |= await it()
        return Reloaded(REPLICA, read)

    return [
        Operation(
            path=PATH,
            method="POST",
            answer=reload,
            scope=ADMIN_SCOPE,
            summary="Read the policy, the tools' lock and the issuers' keys again, in this replica",
            returns=Reloaded,
        )
    ]


def of_policy(policy: PolicyFile) -> Reload:
    """The policy."""

    async def reload() -> dict[str, str | None]:
        return {"policy": policy.reload()}

    return reload


def of_lock(pins: PinBoard) -> Reload:
    """The lock of tools, where there is one."""

    async def reload() -> dict[str, str | None]:
        return pins.reload()

    return reload


def of_keys(issuers: Issuers) -> Reload:
    """The keys that issuers publish."""

    async def reload() -> dict[str, str | None]:
        return {f"keys of {issuer}": problem for issuer, problem in (await issuers.fetch()).items()}

    return reload
