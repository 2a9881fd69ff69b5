"""Asks a server: one POST of protocol 2026-07-28, whatever the caller speaks.

There is a pool per server, so that a slow one can't take connections from the others. A request goes
to the replica with the least in flight. It goes to another one only when that is safe: the connection was
refused, so nothing was sent; or it broke (or a proxy says that the server is away) and the request may be
repeated, which a budget keeps rare. A server that keeps failing is left alone by its breaker.
"""

import asyncio
import time
from typing import Final

import aiohttp

from services.gateway import sse
from services.gateway.config import Upstream as UpstreamSettings
from services.gateway.errors import UNSUPPORTED_PROTOCOL_VERSION, UpstreamError
from services.gateway.fleet import Endpoint, Server
from services.gateway.messages import DECODE_ERRORS, Incoming, decode_incoming
from services.gateway.tracing import Attempt
from services.gateway.traffic.breaker import Permit
from services.gateway.traffic.retries import pause
from services.gateway.upstream_failures import log_failure, reason_of
from services.gateway.upstream_headers import JSON_TYPE, PROTOCOL_VERSION, STREAM_TYPE
from services.gateway.upstream_question import Question
from services.gateway.versions import version_of
from services.kit.metrics import ErrorType

IDLE_SECONDS: Final = 30
"""How long an unused connection is kept: less than servers do, lest they close it just as we use it."""


_AWAY: Final = frozenset({502, 503, 504})
"""What a proxy says when the server behind it doesn't answer."""


class ConnectionBrokenError(Exception):
    """The connection ended without an answer; whether the request was carried out is unknown."""


class Upstreams:
    """The client side of the gateway; lives as long as the event loop."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self._settings = settings
        connect, read = settings.connect_seconds, settings.timeout_seconds
        self._usual = aiohttp.ClientTimeout(sock_connect=connect, sock_read=read)
        self._patient = aiohttp.ClientTimeout(sock_connect=connect)
        self._session = aiohttp.ClientSession(
            # The limit is each server's own, by its pool.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),
            # One caller's cookies must not reach a server in another's request.
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def ask(self, server: Server, question: Question) -> Incoming:
        """The server's response, be it a result or a JSON-RPC error.

        Raises:
            UpstreamError: there is no proper response.
        """
        permit = server.breaker.admit()
        if permit is Permit.REFUSED:
            raise UpstreamError(
                server.name, ErrorType.UNAVAILABLE, "keeps failing; try again in some seconds"
            )
        failed = None
        try:
            reply = await self._ask_in_time(server, question)
            failed = False
        except UpstreamError as error:
            failed = error.blames or None
            raise
        else:
            return reply
        finally:
            server.breaker.leave(permit, failed=failed)

    async def _ask_in_time(self, server: Server, question: Question) -> Incoming:
        seconds = question.seconds or self._settings.timeout_seconds
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds) as deadline:
                if question.background:
                    return await self._ask_any(server, question, deadline)
                await self._take_slot(server)
                try:
                    return await self._ask_any(server, question, deadline)
                finally:
                    server.pool.give_back()
        except TimeoutError:
            waited = time.monotonic() - began
            raise UpstreamError(
                server.name, ErrorType.TIMEOUT, f"didn't answer within {waited:.1f} s"
            ) from None

    async def _take_slot(self, server: Server) -> None:
        try:
            await server.pool.take(self._settings.queue_seconds)
        except TimeoutError:
            raise UpstreamError(
                server.name, ErrorType.UNAVAILABLE, "has no free connection", blames=False
            ) from None

    async def _ask_any(self, server: Server, question: Question, deadline: asyncio.Timeout) -> Incoming:
        server.retries.earn()
        attempts = 1
        while endpoint := server.pick(question.tried, only=question.only):
            question.tried.append(endpoint)
            try:
                return await self._ask_endpoint(server, endpoint, question, deadline)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                # Nothing was sent, so the next replica's turn is no repetition.
                endpoint.rest()
                log_failure("can't connect", server, endpoint, reason_of(error))
            except UpstreamError as error:
                attempts += 1
                if not (self._may_repeat(question, error, attempts) and server.retries.spend()):
                    raise
                if server.pick(question.tried, only=question.only) is None:
                    question.tried.clear()
                await asyncio.sleep(pause(attempts))
        problem = "can't be reached" if question.tried else "has no ready replica"
        raise UpstreamError(server.name, ErrorType.UNAVAILABLE, problem, blames=bool(question.tried))

    def _may_repeat(self, question: Question, error: UpstreamError, attempts: int) -> bool:
        return question.repeatable and error.transient and attempts <= self._settings.max_attempts

    async def _ask_endpoint(
        self, server: Server, endpoint: Endpoint, question: Question, deadline: asyncio.Timeout
    ) -> Incoming:
        with question.trace.attempt(question.body, question.headers, server.name, endpoint.url) as attempt:
            reply = await self._attempt(server, endpoint, question, attempt, deadline)
            attempt.answered(reply)
            return reply

    async def _attempt(
        self,
        server: Server,
        endpoint: Endpoint,
        question: Question,
        attempt: Attempt,
        deadline: asyncio.Timeout,
    ) -> Incoming:
        """Ask one replica, and remember whether it answers."""
        endpoint.in_flight += 1
        failed = True
        try:
            reply = await self._ask_one(server, endpoint, question, attempt, deadline)
            failed = False
        except ConnectionBrokenError as error:
            log_failure("connection broke", server, endpoint, str(error))
            raise UpstreamError(
                server.name,
                ErrorType.UNAVAILABLE,
                "broke the connection; the call may have been carried out",
                transient=True,
            ) from None
        except UpstreamError as error:
            failed = error.blames
            raise
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            failed = False  # it rests anyway
            raise
        except asyncio.CancelledError:
            failed = deadline.expired()  # else the caller has left
            attempt.error = ErrorType.TIMEOUT if failed else ErrorType.CANCELLED
            raise
        else:
            endpoint.answered()
            if isinstance(reply.result, dict) and (version := version_of(reply.result)):
                server.learn(endpoint, version)
            return reply
        finally:
            endpoint.in_flight -= 1
            if failed:
                endpoint.failed(self._settings.eject_failures, self._settings.eject_seconds)

    async def _ask_one(
        self,
        server: Server,
        endpoint: Endpoint,
        question: Question,
        attempt: Attempt,
        deadline: asyncio.Timeout,
    ) -> Incoming:
        try:
            wait = self._patient if question.background else self._usual
            async with self._session.post(
                endpoint.url, data=attempt.body, headers=attempt.headers, allow_redirects=False, timeout=wait
            ) as response:
                return await self._response(server, response, question, deadline)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise
        except aiohttp.SocketTimeoutError:
            raise TimeoutError from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError) as error:
            raise ConnectionBrokenError(reason_of(error)) from None
        except (aiohttp.ClientError, ValueError) as error:
            log_failure("no proper HTTP", server, endpoint, reason_of(error))
            raise UpstreamError(
                server.name, ErrorType.BAD_RESPONSE, "didn't answer with proper HTTP"
            ) from None

    async def _response(
        self, server: Server, response: aiohttp.ClientResponse, question: Question, deadline: asyncio.Timeout
    ) -> Incoming:
        kind = response.content_type
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise _bad(server, "answered compressed, which wasn't asked for")
        if kind == STREAM_TYPE and response.ok:
            if question.seconds is None:
                deadline.reschedule(asyncio.get_running_loop().time() + self._settings.stream_seconds)
            return await self._last_of_stream(server, response, question)
        if kind != JSON_TYPE:
            message = f"answered HTTP {response.status} with {kind}"
            # 4xx is about this request: whoever makes odd ones must not close the server to others.
            refused = 400 <= response.status < 500  # noqa: PLR2004 - HTTP's own numbers
            raise _bad(server, message, blames=not refused, transient=response.status in _AWAY)
        message = _decode(server, await self._read(server, response))
        if not _answers(message, question):
            raise _bad(server, f"answered HTTP {response.status} without a JSON-RPC response")
        if message.error and message.error.code == UNSUPPORTED_PROTOCOL_VERSION:
            # Passed on, it would tell the caller that the gateway doesn't speak the caller's version.
            raise _bad(server, f"doesn't speak protocol {PROTOCOL_VERSION}")
        return message

    async def _read(self, server: Server, response: aiohttp.ClientResponse) -> bytes:
        limit = self._settings.max_response_bytes
        length = response.content_length
        if length is not None and length <= limit:
            return await response.read()
        chunks: list[bytes] = []
        size = length or 0
        if size <= limit:
            async for chunk in response.content.iter_any():
                size += len(chunk)
                chunks.append(chunk)
                if size > limit:
                    break
        if size > limit:
            response.close()
            raise _bad(server, f"answered with more than {limit} bytes", blames=False)
        return b"".join(chunks)

    async def _last_of_stream(
        self, server: Server, response: aiohttp.ClientResponse, question: Question
    ) -> Incoming:
        reader = sse.EventReader(self._settings.max_response_bytes)
        async for chunk in response.content.iter_any():
            try:
                events = reader.feed(chunk)
            except sse.EventTooLargeError:
                response.close()
                limit = self._settings.max_response_bytes
                raise _bad(server, f"sent an event of more than {limit} bytes", blames=False) from None
            for data in events:
                message = _decode(server, data)
                if _answers(message, question):
                    response.close()
                    return message
                if message.method is None or message.id is not None:
                    raise _bad(server, "sent a message that 2026-07-28 doesn't allow in a stream")
                if question.on_event:
                    question.repeatable = False  # progress must not begin anew for the caller
                    await question.on_event(data)
            if not events and question.on_event:
                await question.on_event(None)
        raise ConnectionBrokenError("the stream ended without a response")


def _answers(message: Incoming, question: Question) -> bool:
    """Whether it is the response to this very question (an error may lack the id)."""
    if isinstance(message.result, dict):
        return message.id == question.id
    return bool(message.error) and message.id in {question.id, None}


def _decode(server: Server, data: bytes) -> Incoming:
    try:
        return decode_incoming(data)
    except DECODE_ERRORS:
        raise _bad(server, "answered with something that isn't JSON-RPC") from None


def _bad(server: Server, message: str, *, blames: bool = True, transient: bool = False) -> UpstreamError:
    return UpstreamError(server.name, ErrorType.BAD_RESPONSE, message, blames=blames, transient=transient)
