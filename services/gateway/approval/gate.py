"""Lets calls through that need no approval, asks for it where they do, and recognizes it when it comes.

Nothing is kept between the rounds of a call. What a round must know of the one before is sealed into the
`requestState` that the caller hands back: that a call was approved, and the server's own `requestState`. It
opens only for the same caller, tool and arguments.
"""

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import msgspec

from services.gateway.approval.single_use import SingleUse, UseUnknownError
from services.gateway.approval.wording import Arguments, ArgumentsError, message
from services.gateway.authorization import Kind
from services.gateway.call import Call
from services.gateway.capabilities import takes_forms
from services.gateway.config_approval import Approval
from services.gateway.errors import (
    INVALID_PARAMS,
    MISSING_CLIENT_CAPABILITY,
    NOT_APPROVED,
    RpcError,
    UpstreamError,
)
from services.gateway.fleet import Server
from services.gateway.lists import Lists
from services.gateway.messages import DECODE_ERRORS, RawObject, decode_object, decode_text, encode, raw
from services.gateway.metrics import GatewayMetrics
from services.gateway.sealing import Sealer, SealError
from services.gateway.tool_hints import UNSAID, Hints
from services.kit.logs import get_logger
from services.kit.metrics import ErrorType

INPUT: Final = "gateway_approval"
"""The key of our question among a result's `inputRequests`."""

REQUIRED: Final = {"requiredCapabilities": {"elicitation": {"form": {}}}}

_NO_ARGUMENTS: Final = msgspec.Raw(b"{}")
_INPUT_REQUIRED: Final = raw("input_required")
_SCHEMA: Final[dict[str, Any]] = {"type": "object", "properties": {}}
_REFUSALS: Final = {
    "declined": "the call wasn't approved",
    "cancelled": "the call wasn't approved: the question was dismissed",
    "unavailable": "the call wasn't carried out: whether its approval was used before can't be told now",
}
_INVALID: Final = {
    "invalid": "requestState isn't one of this call's",
    "expired": "requestState has expired; call without it to be asked again",
    "replayed": "requestState was used before; call without it to be asked again",
}


class Round(msgspec.Struct):
    """What is sealed into `requestState`."""

    token: str
    """Spent with the round."""
    expires: float
    approved: bool = False
    upstream: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """The server's own `requestState`."""


_rounds: Final = msgspec.json.Decoder(Round)
_answers: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

Go = Callable[[], Awaitable[RawObject]]


class Approvals:
    """Stands before every call of a tool."""

    def __init__(
        self,
        settings: Approval,
        sealer: Sealer,
        single_use: SingleUse,
        lists: Lists,
        metrics: GatewayMetrics,
    ) -> None:
        self._reading: Literal["explicit", "default", "off"] = settings.by_annotation
        self._seconds = settings.seconds
        self._sealer = sealer
        self._single_use = single_use
        self._lists = lists
        self._violations = metrics.violations
        self._counted = metrics.approvals

    async def guard(self, call: Call, server: Server, tool: str, go: Go) -> RawObject:
        """What `go` answers, or first the question to the caller. The parameters of `call` are changed.

        Raises:
            RpcError: it isn't approved, or the caller can't be asked; or as `go`.
        """
        if not await self._needed(call, server, tool):
            return await go()
        try:
            arguments = Arguments(call.params.get("arguments", _NO_ARGUMENTS))
        except ArgumentsError as error:
            raise RpcError(INVALID_PARAMS, f"arguments of a tool that needs approval: {error}") from None
        context = _context(call, server, tool, arguments)
        found = self._open(call, context)
        if found is None or not (found.approved or self._accepted(call)):
            return self._question(call, server, tool, arguments, context)
        await self._spend(call, found, repeatable=tool in server.repeatable_tools)
        _rewrite(call, found)
        result = await go()
        if bytes(result.get("resultType", b"")) == bytes(_INPUT_REQUIRED):
            state = self._round(approved=True, upstream=result.get("requestState", msgspec.UNSET))
            result["requestState"] = raw(self._sealer.seal(encode(state), context))
        return result

    async def _needed(self, call: Call, server: Server, tool: str) -> bool:
        asks = call.view.decide(Kind.TOOL, server.name, tool).asks
        if asks is not None:
            return asks
        reading = self._reading
        if reading == "off":
            return False
        hints = server.hints.fresh(tool) or await self._ask_for_hints(call, server, tool)
        return hints.destroys(reading)

    async def _ask_for_hints(self, call: Call, server: Server, tool: str) -> Hints:
        """What the server says of a tool now, or said last. One that it doesn't list, it says nothing of."""
        problem = await server.hints.refresh(lambda: self._lists.learn(server, call))
        if server.hints.tools is None:
            self._count(call, "unknown")
            text = "doesn't list its tools, so whether this one needs approval isn't known"
            raise UpstreamError(server.name, ErrorType.UNAVAILABLE, f"{text}: {problem}", blames=False)
        return server.hints.tools.get(tool, UNSAID)

    def _question(
        self, call: Call, server: Server, tool: str, arguments: Arguments, context: bytes
    ) -> RawObject:
        if not takes_forms(call):
            self._count(call, "unable")
            text = "this tool needs approval, and the client can't ask for it: elicitation (form) is missing"
            raise RpcError(MISSING_CLIENT_CAPABILITY, text, REQUIRED)
        self._count(call, "asked")
        params = {
            "mode": "form",
            "message": message(server.name, tool, arguments),
            "requestedSchema": _SCHEMA,
        }
        return {
            "resultType": _INPUT_REQUIRED,
            "inputRequests": raw({INPUT: {"method": "elicitation/create", "params": params}}),
            "requestState": raw(self._sealer.seal(encode(self._round()), context)),
        }

    def _round(
        self, *, approved: bool = False, upstream: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    ) -> Round:
        return Round(secrets.token_urlsafe(16), time.time() + self._seconds, approved, upstream)

    def _open(self, call: Call, context: bytes) -> Round | None:
        """What the caller hands back; None where it is the first time."""
        if "requestState" not in call.params:
            return None
        try:
            found = _rounds.decode(self._sealer.open(decode_text(call.params["requestState"]), context))
        except (SealError, *DECODE_ERRORS):
            raise self._invalid(call, "invalid") from None
        if found.expires < time.time():
            raise self._invalid(call, "expired")
        return found

    def _accepted(self, call: Call) -> bool:
        """Whether the human said yes; False where the answer is missing."""
        try:
            answers = _answers.decode(call.params.get("inputResponses", _NO_ARGUMENTS))
            if INPUT not in answers:
                return False
            action = decode_text(decode_object(answers[INPUT])["action"])
        except (KeyError, *DECODE_ERRORS):
            raise RpcError(
                INVALID_PARAMS, f"inputResponses: {INPUT} isn't an answer to elicitation"
            ) from None
        if action == "accept":
            return True
        raise self._refused(call, "declined" if action == "decline" else "cancelled")

    async def _spend(self, call: Call, found: Round, *, repeatable: bool) -> None:
        """Use up the round, where using it again would do something again."""
        try:
            if not repeatable and not await self._single_use.spend(found.token, self._seconds):
                raise self._invalid(call, "replayed")
        except UseUnknownError:
            raise self._refused(call, "unavailable") from None
        if not found.approved:
            self._count(call, "approved")

    def _invalid(self, call: Call, outcome: str) -> RpcError:
        self._count(call, outcome)
        if outcome != "expired":
            self._violations.labels(f"request_state_{outcome}").inc()
        return RpcError(INVALID_PARAMS, _INVALID[outcome], {"type": "request_state", "reason": outcome})

    def _refused(self, call: Call, outcome: str) -> RpcError:
        self._count(call, outcome)
        return RpcError(NOT_APPROVED, _REFUSALS[outcome], {"type": "approval", "outcome": outcome})

    def _count(self, call: Call, outcome: str) -> None:
        self._counted.labels(outcome).inc()
        get_logger().info("approval", outcome=outcome, server=call.server, tool=call.target[:200])


def _context(call: Call, server: Server, tool: str, arguments: Arguments) -> bytes:
    who = [call.principal.issuer, call.principal.subject]
    return encode(["approval", *who, call.method, server.name, tool, arguments.digest])


def _rewrite(call: Call, found: Round) -> None:
    """Make the parameters those that the server would have got without us."""
    params = dict(call.params)
    del params["requestState"]
    if found.upstream is not msgspec.UNSET:
        params["requestState"] = found.upstream
    if not found.approved:
        answers = _answers.decode(params["inputResponses"])
        del answers[INPUT]
        params["inputResponses"] = raw(answers)
        if not answers:
            del params["inputResponses"]
    call.params = params
