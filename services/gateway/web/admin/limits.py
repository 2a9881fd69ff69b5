"""The rate limits: what is set, what a caller has used up of theirs, and giving it back."""

from collections.abc import Awaitable
from typing import Any, Final, Literal, TypeVar

import msgspec

from services.gateway.access import ADMIN_SCOPE
from services.gateway.config import Limits
from services.gateway.errors import HttpRefusal
from services.gateway.traffic.limits import Limiter
from services.gateway.traffic.shared_store import SharedStore, StoreDownError
from services.gateway.web.admin.replica import REPLICA
from services.gateway.web.operation import Operation, Parameter, WebRequest
from services.kit.tokens import Principal

PATH: Final = "/admin/limits"

_SUBJECT: Final = "A caller's subject, as their token has it"
_ISSUER: Final = "Who issued it; empty where no tokens are needed"


T = TypeVar("T")


class PrincipalUse(msgspec.Struct):
    """What a caller has used up."""

    issuer: str
    subject: str
    used: float
    """Requests of the burst that are used up now."""
    burst: int


class LimitsState(msgspec.Struct):
    """The limits, and where they are counted."""

    replica: str
    counted: Literal["redis", "replica", "nowhere"]
    """By all replicas together, by each for itself, or not at all."""
    redis: str | None
    """What is wrong with Redis; null where nothing is, or where there is none."""
    settings: dict[str, Any]
    principal: PrincipalUse | None
    """Of the caller that was asked for."""


class Forgotten(msgspec.Struct):
    """Whose use was forgotten."""

    issuer: str
    subject: str


def operations(settings: Limits, limiter: Limiter, store: SharedStore | None) -> list[Operation]:
    """The rows of the routing table."""

    async def show(request: WebRequest) -> LimitsState:
        asked = _principal(request)
        use = None
        if asked is not None and settings.principal is not None:
            used = await _told(limiter.spent(asked))
            use = PrincipalUse(asked.issuer, asked.subject, round(used or 0.0, 2), settings.principal.burst)
        return LimitsState(
            replica=REPLICA,
            counted=_counted(settings, store),
            redis=None if store is None else store.problem,
            settings=settings.model_dump(mode="json"),
            principal=use,
        )

    async def forget(request: WebRequest) -> Forgotten:
        asked = _principal(request)
        assert asked  # noqa: S101 - both parameters are required
        if not await _told(limiter.forget(asked)):
            message = "no limit is set for principals"
            raise HttpRefusal(409, message, reason="no_limit", violation=False)
        return Forgotten(asked.issuer, asked.subject)

    return [
        Operation(
            path=PATH,
            answer=show,
            scope=ADMIN_SCOPE,
            summary="The rate limits, and what a caller has used up of theirs",
            returns=LimitsState,
            query={"subject": Parameter(_SUBJECT), "issuer": Parameter(_ISSUER)},
        ),
        Operation(
            path=PATH,
            method="DELETE",
            answer=forget,
            scope=ADMIN_SCOPE,
            summary="Forget what a caller has used up: everywhere if Redis counts, else in this replica",
            returns=Forgotten,
            refusals={409: "No limit is set for principals"},
            query={
                "subject": Parameter(_SUBJECT, required=True),
                "issuer": Parameter(_ISSUER, required=True),
            },
        ),
    ]


def _principal(request: WebRequest) -> Principal | None:
    subject, issuer = request.query.get("subject"), request.query.get("issuer")
    if subject is None and issuer is None:
        return None
    if subject is None or issuer is None:
        raise HttpRefusal(400, "subject and issuer go together", reason="query", violation=False)
    return Principal(subject, issuer, frozenset(), 0.0)


def _counted(settings: Limits, store: SharedStore | None) -> Literal["redis", "replica", "nowhere"]:
    if not (settings.gateway or settings.principal or settings.tools):
        return "nowhere"
    if store is None:
        return "replica"
    if store.problem is None:
        return "redis"
    return "replica" if settings.without_redis == "local" else "nowhere"


async def _told(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except StoreDownError as error:
        headers = ((b"retry-after", b"5"),)
        message = f"Redis, which counts, is away: {error}"
        raise HttpRefusal(503, message, reason="redis", headers=headers, violation=False) from None
