"""Makes the call of a task, in the name of who made it: as if they had just made it and were waiting."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from services.gateway.access import CALL_SCOPE, Access
from services.gateway.audit.trail import Trail
from services.gateway.call import Call
from services.gateway.config_tasks import Tasks as TasksSettings
from services.gateway.errors import HttpRefusal, RpcError
from services.gateway.messages import DECODE_ERRORS, RawObject, decode_object, encode, raw
from services.gateway.permission import Permission
from services.gateway.record import Record
from services.gateway.tasks.outcome import Asks, Completed, Later, Outcome, failed, failed_by
from services.gateway.tasks.request import principal_of, read, restored
from services.gateway.tasks.store import Job
from services.gateway.tasks.task import map_of
from services.kit.logs import get_logger
from services.kit.postgres.database import DatabaseDownError

MAX_ROUNDS: Final = 10
"""A server that still isn't content after so many answers is treated as broken."""
LATER_SECONDS: Final = 2.0
_INPUT_REQUIRED: Final = b'"input_required"'


class Carrier:
    """Passes every duty that a caller's own request passes, but for the rate limit: that was charged."""

    def __init__(
        self,
        answer: Callable[[Call], Awaitable[RawObject]],
        access: Access,
        permission: Permission,
        trail: Trail,
        settings: TasksSettings,
    ) -> None:
        self._answer = answer
        self._access = access
        self._permission = permission
        self._trail = trail
        self._settings = settings

    async def carry(self, job: Job, start: Callable[[], Awaitable[bool]]) -> Outcome | None:
        """What came of it; None if `start` says that it isn't ours any more."""
        kept = read(job.request)
        principal, view = self._access.enter(principal_of(kept))
        call = restored(kept, principal, view, _input(job), self._settings.run_seconds)
        record = Record(kept.request_id, method=call.method, era=call.era, principal=principal, call=call)
        try:
            await self._trail.admit(record)
        except HttpRefusal:
            return Later(LATER_SECONDS)
        try:
            if not await start():
                return self._trail.abandon(record)
        except DatabaseDownError:
            self._trail.abandon(record)
            return Later(LATER_SECONDS)
        try:
            outcome = await self._outcome(call, record, job)
        except asyncio.CancelledError:
            record.ended("cancelled")
            raise
        finally:
            self._trail.leave(record)
        return outcome

    async def _outcome(self, call: Call, record: Record, job: Job) -> Outcome:
        try:
            self._permission.check(call, CALL_SCOPE)
            outcome = self._read(job, await self._answer(call))
        except RpcError as error:
            record.failed(error)
            outcome = failed_by(error)
        except HttpRefusal as refusal:
            record.refused(refusal)
            outcome = failed_by(RpcError(refusal.code, refusal.message, refusal.data))
        except Exception:  # noqa: BLE001 - a defect of ours: logged, and never a traceback to the caller
            get_logger().exception("task failed", task=job.id)
            record.ended("internal")
            outcome = failed("internal error")
        with contextlib.suppress(HttpRefusal):  # its record isn't committed yet, and will be
            await self._trail.settle(record)
        return outcome

    def _read(self, job: Job, result: RawObject) -> Outcome:
        result.setdefault("resultType", raw("complete"))
        if bytes(result["resultType"]) == _INPUT_REQUIRED:
            return _asks(job, result)
        content = encode(result)
        if len(content) > self._settings.max_result_bytes:
            return failed(f"the result is larger than {self._settings.max_result_bytes} bytes")
        return Completed(content)


def _asks(job: Job, result: RawObject) -> Outcome:
    if job.rounds >= MAX_ROUNDS:
        return failed(f"the server needed input for more than {MAX_ROUNDS} times")
    try:
        requests = decode_object(result["inputRequests"]) if "inputRequests" in result else {}
        for request in requests.values():
            decode_object(request)
    except DECODE_ERRORS:
        return failed("the server asked for input in a way that isn't MCP's")
    state = result.get("requestState")
    # A key must not come twice in the life of a task, and servers use theirs again in the next round.
    named = {f"{job.rounds}.{key}": request for key, request in requests.items()}
    return Asks(named, None if state is None else bytes(state))


def _input(job: Job) -> RawObject:
    """What this round has to say, besides the call itself."""
    if not job.rounds:
        return {}
    answers = {key.partition(".")[2]: value for key, value in map_of(job.input_responses).items()}
    more: RawObject = {"inputResponses": raw(answers)}
    if job.request_state is not None:
        more["requestState"] = msgspec.Raw(job.request_state)
    return more
