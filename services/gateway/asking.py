"""Asks callers of the older generation what a server wants to know in the middle of a call.

In 2026-07-28 a server answers `input_required`, and the caller calls again with what was asked for. The
generation before gets requests in the stream of its call instead, and answers each by a POST of its own. So
the gateway turns one into the other: it asks, waits, and calls again.

The answer must reach the process that waits for it: with several replicas of the gateway, callers of the
older generation need affinity to one of them, or their answers are refused.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from services.gateway.call import Call
from services.gateway.errors import INTERNAL_ERROR, INVALID_REQUEST, REQUEST_TIMEOUT, RpcError
from services.gateway.messages import (
    DECODE_ERRORS,
    Incoming,
    RawObject,
    decode_object,
    decode_text,
    encode,
    raw,
)
from services.gateway.upstream_question import OnEvent
from services.kit.tokens import Principal

MAX_ROUNDS: Final = 10
"""A server that still isn't content after so many answers is treated as broken."""

PING_SECONDS: Final = 15.0
"""Between signs of life while a person thinks."""

_INPUT_REQUIRED: Final = b'"input_required"'
_METHODS: Final = frozenset({"elicitation/create", "sampling/createMessage", "roots/list"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that a caller hasn't answered yet."""

    principal: Principal
    reply: asyncio.Future[Incoming]


class Asker:
    """Knows which answers are waited for."""

    def __init__(self, seconds: float) -> None:
        """Prepare.

        Args:
            seconds: how long callers have to answer.
        """
        self._seconds = seconds
        self._asked: dict[str, Asked] = {}

    async def settle(self, call: Call, answer: Callable[[Call], Awaitable[RawObject]]) -> RawObject:
        """What `answer` gives in the end, when everything is known that it needs to know.

        Raises:
            RpcError: the caller can't be asked, didn't answer, or the server doesn't stop asking.
        """
        for _ in range(MAX_ROUNDS):
            result = await answer(call)
            if bytes(result.get("resultType", b"")) != _INPUT_REQUIRED:
                return result
            if call.on_event is None:
                raise RpcError(INTERNAL_ERROR, "the server needs input, but the call accepts no event stream")
            responses = await self._ask(call, call.on_event, result)
            call.params = {**call.params, "inputResponses": raw(responses)}
            call.params.pop("requestState", None)
            if "requestState" in result:
                call.params["requestState"] = result["requestState"]
        raise RpcError(INTERNAL_ERROR, f"the server needed input for more than {MAX_ROUNDS} times")

    def take(self, principal: Principal, reply: Incoming) -> None:
        """Hand over an answer; what a question was asked of one principal only that one answers.

        Raises:
            RpcError: nothing that it could answer is waited for here.
        """
        asked = self._asked.get(str(reply.id))
        if asked is None or _who(asked.principal) != _who(principal) or asked.reply.done():
            raise RpcError(INVALID_REQUEST, "no request with this id waits for a response here")
        asked.reply.set_result(reply)

    async def _ask(self, call: Call, send: OnEvent, result: RawObject) -> dict[str, msgspec.Raw]:
        waited: dict[str, str] = {}
        try:
            for key, (method, params) in _requests(result).items():
                request_id = secrets.token_urlsafe(16)
                reply = asyncio.get_running_loop().create_future()
                self._asked[request_id] = Asked(call.principal, reply)
                waited[request_id] = key
                await send(_request(request_id, method, params))
            replies = await self._wait([self._asked[it].reply for it in waited], send)
        finally:
            for request_id in waited:
                del self._asked[request_id]
        return {key: _content(reply) for key, reply in zip(waited.values(), replies, strict=True)}

    async def _wait(self, replies: list[asyncio.Future[Incoming]], send: OnEvent) -> list[Incoming]:
        try:
            async with asyncio.timeout(self._seconds):
                # No requests is a pause that the server wants: it gets its state back at once.
                while replies and (await asyncio.wait(replies, timeout=PING_SECONDS))[1]:
                    await send(None)
        except TimeoutError:
            message = f"the input that the server needs wasn't given within {self._seconds:g} s"
            raise RpcError(REQUEST_TIMEOUT, message) from None
        return [reply.result() for reply in replies]


def _requests(result: RawObject) -> dict[str, tuple[str, msgspec.Raw | None]]:
    """Method and parameters of each input that a result asks for."""
    try:
        wanted = decode_object(result["inputRequests"]) if "inputRequests" in result else {}
        requests = {key: decode_object(value) for key, value in wanted.items()}
        methods = {key: decode_text(request["method"]) for key, request in requests.items()}
    except (KeyError, *DECODE_ERRORS):
        raise RpcError(INTERNAL_ERROR, "the server asked for input in a way that isn't MCP's") from None
    if unknown := set(methods.values()) - _METHODS:
        raise RpcError(INTERNAL_ERROR, f"the server asked for {', '.join(sorted(unknown))[:200]}")
    return {key: (method, requests[key].get("params")) for key, method in methods.items()}


def _request(request_id: str, method: str, params: msgspec.Raw | None) -> bytes:
    content = {"jsonrpc": "2.0", "id": request_id, "method": method}
    return encode(content if params is None else {**content, "params": params})


def _content(reply: Incoming) -> msgspec.Raw:
    if isinstance(reply.result, dict):
        return raw(reply.result)
    assert reply.error  # noqa: S101 - `decode_response` lets only results and errors through
    message = f"the client refused what the server asked it for: {reply.error.message[:500]}"
    raise RpcError(INTERNAL_ERROR, message)


def _who(principal: Principal) -> tuple[str, str]:
    return principal.issuer, principal.subject
