"""What one endpoint of a server tells us of, on a stream that is kept open while anything is wanted."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Callable
from contextvars import Context
from typing import Final

import aiohttp
import msgspec

from services.gateway import sse
from services.gateway.authorization import Kind
from services.gateway.eras import CAPABILITIES_KEY, CLIENT_INFO_KEY, IMPLEMENTATION, VERSION_KEY
from services.gateway.errors import METHOD_NOT_FOUND
from services.gateway.listening.changes import (
    ACKNOWLEDGED_METHOD,
    LIST_METHODS,
    METHOD,
    UPDATED_METHOD,
    Change,
    Filter,
    filter_of,
)
from services.gateway.listening.interest import Wanted
from services.gateway.messages import DECODE_ERRORS, encode
from services.gateway.upstream_headers import PROTOCOL_VERSION, STREAM_TYPE, upstream_headers
from services.kit.logs import get_logger

ACKNOWLEDGE_SECONDS: Final = 5.0
BACKOFF_SECONDS: Final = (0.5, 30.0)
"""First and longest wait after a failure; doubled each time, with jitter."""
MAX_EVENT_BYTES: Final = 512 * 1024
"""An acknowledgement repeats all the URIs that were asked for."""
LONGEST_URI: Final = 2048

MAX_REFUSAL_BYTES: Final = 64 * 1024

_ID: Final = "gateway"
_PASSING: Final = frozenset({408, 425, 429})
"""Of the refusals that blame the request, those that say nothing of the next one."""
_HEADERS: Final = upstream_headers(METHOD, None, {})
_META: Final = {VERSION_KEY: PROTOCOL_VERSION, CLIENT_INFO_KEY: IMPLEMENTATION, CAPABILITIES_KEY: {}}


class _Params(msgspec.Struct):
    uri: str = ""
    notifications: Filter | None = None


class _Message(msgspec.Struct):
    """Whatever comes on such a stream."""

    method: str | None = None
    params: _Params = msgspec.field(default_factory=_Params)
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Error(msgspec.Struct):
    code: int


class _Refusal(msgspec.Struct):
    error: _Error


class _UnsupportedError(Exception):
    """The server has no such streams."""


class _FailedError(Exception):
    """The stream couldn't be opened, or isn't one; the message says how."""


_decoder: Final = msgspec.json.Decoder(_Message)
_refusals: Final = msgspec.json.Decoder(_Refusal)
_FAILURES: Final = (
    aiohttp.ClientError,
    OSError,
    TimeoutError,
    _FailedError,
    sse.EventTooLargeError,
    *DECODE_ERRORS,
)


class Subscription:
    """Listens to one endpoint; by a new request whenever something else is wanted, without a gap between."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: str,
        url: str,
        report: Callable[[Change], None],
    ) -> None:
        """Prepare; `want` begins it. `report` is told of what is heard."""
        self._session = session
        self._server = server
        self._url = url
        self._report = report
        self._wanted: Wanted | None = None
        self._newest: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = 0
        self.open = 0
        """Streams; two while one takes over from another."""
        self.settled = asyncio.Event()
        """Set while what is wanted is either listened to, or can't be at the moment."""
        self.supported = True
        self.resources = True
        """Whether it tells of resources, as far as we know."""
        self.missed = False
        """Whether something may have happened that wasn't heard."""

    def want(self, wanted: Wanted) -> None:
        """Listen to this from now on."""
        if wanted == self._wanted or not self.supported:
            return
        self._wanted = wanted
        self.settled.clear()
        # In a context of its own: what it logs isn't about the caller who wanted something first.
        self._newest = asyncio.create_task(self._hold(wanted, self._newest), context=Context())
        self._tasks.add(self._newest)
        self._newest.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop listening."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _hold(self, wanted: Wanted, before: asyncio.Task[None] | None) -> None:
        """Listen, again whenever the stream ends, until a newer request has taken over; so has this, then."""
        try:
            while self._newest is asyncio.current_task():
                try:
                    await self._listen(wanted, before)
                    self._failed("the server ended the stream")
                except _UnsupportedError:
                    self.supported = False
                    self.settled.set()
                    return
                except _FAILURES as error:
                    self._failed(f"{type(error).__name__}: {error}")
                await asyncio.sleep(self._pause())
        finally:
            if before is not None:
                before.cancel()

    def _failed(self, reason: str) -> None:
        if not self._failures:
            get_logger().info("not listening", server=self._server, endpoint=self._url, reason=reason)
        self._failures += 1
        self.missed = True
        self.settled.set()

    def _pause(self) -> float:
        first, longest = BACKOFF_SECONDS
        return min(longest, first * 2 ** min(self._failures - 1, 10)) * random.uniform(0.5, 1)  # noqa: S311 - no secret

    async def _listen(self, wanted: Wanted, before: asyncio.Task[None] | None) -> None:
        """One stream from its request to its end."""
        notifications = filter_of(wanted.kinds, sorted(wanted.uris))
        params = {"_meta": _META, "notifications": notifications}
        body = encode({"jsonrpc": "2.0", "id": _ID, "method": METHOD, "params": params})
        acknowledged = False
        try:
            async with (
                asyncio.timeout(ACKNOWLEDGE_SECONDS) as deadline,
                self._session.post(self._url, data=body, headers=_HEADERS, allow_redirects=False) as response,
                contextlib.aclosing(_messages(response)) as messages,
            ):
                async for message in messages:
                    if acknowledged:
                        self._hear(message)
                    elif message.method == ACKNOWLEDGED_METHOD:
                        acknowledged = True
                        deadline.reschedule(None)
                        self._acknowledged(wanted, message.params.notifications or Filter())
                        if before is not None:
                            before.cancel()
        finally:
            self.open -= acknowledged

    def _acknowledged(self, wanted: Wanted, honored: Filter) -> None:
        self.open += 1
        self._failures = 0
        self.resources = not wanted.uris or bool(honored.resource_subscriptions)
        if wanted == self._wanted:
            self.settled.set()
        if self.missed:
            self.missed = False
            for kind in wanted.kinds:
                self._report(Change(self._server, kind))
            for uri in wanted.uris:
                self._report(Change(self._server, Kind.RESOURCE, uri))

    def _hear(self, message: _Message) -> None:
        if kind := LIST_METHODS.get(message.method or ""):
            self._report(Change(self._server, kind))
        elif message.method == UPDATED_METHOD and _is_uri(message.params.uri):
            self._report(Change(self._server, Kind.RESOURCE, message.params.uri))


def _is_uri(text: str) -> bool:
    """Whether it may be passed on: nothing hidden, and of bounded length."""
    return 0 < len(text) <= LONGEST_URI and text.isprintable()


async def _messages(response: aiohttp.ClientResponse) -> AsyncGenerator[_Message]:
    """The messages of a stream until its proper end.

    Raises:
        _UnsupportedError: there is none, and won't be.
        _FailedError: there is none now, or it broke.
    """
    if response.content_type != STREAM_TYPE or not response.ok:
        await _refuse(response)
    reader = sse.EventReader(MAX_EVENT_BYTES)
    async for chunk in response.content.iter_any():
        for data in reader.feed(chunk):
            message = _decoder.decode(data)
            if message.result is not msgspec.UNSET:
                return
            if message.error is not msgspec.UNSET:
                raise _FailedError("the stream ended with an error")
            yield message
    raise _FailedError("the stream broke")


async def _refuse(response: aiohttp.ClientResponse) -> None:
    """Raise what an answer means that is no stream."""
    try:
        code = _refusals.decode(await response.content.read(MAX_REFUSAL_BYTES)).error.code
    except DECODE_ERRORS:
        code = 0
    if code == METHOD_NOT_FOUND or (400 <= response.status < 500 and response.status not in _PASSING):  # noqa: PLR2004 - HTTP's own numbers
        raise _UnsupportedError
    raise _FailedError(f"HTTP {response.status} {response.content_type}, error {code}")
