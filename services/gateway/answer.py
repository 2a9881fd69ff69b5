"""Writes the answer to a caller: one JSON document, or a stream of events once the server has sent any."""

from services.gateway import sse
from services.kit.asgi import Headers, Send, respond

_STREAM_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class Answer:
    """One answer; `event` may come any number of times before `finish`."""

    def __init__(self, send: Send, headers: Headers) -> None:
        self._send = send
        self._headers = headers
        self.status = 0
        """HTTP status, once it is sent."""
        self.finished = False

    async def event(self, data: bytes | None) -> None:
        """Pass on a notification, or with None a sign of life; the first one makes the answer a stream."""
        await self._begin_stream()
        body = sse.PING if data is None else sse.event(data)
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def finish(self, status: int, body: bytes, headers: Headers = ()) -> None:
        """The response itself; within a stream the status has gone out already."""
        self.finished = True
        if self.status:
            await self._send({"type": "http.response.body", "body": sse.event(body)})
        else:
            self.status = status
            await respond(self._send, status, body, headers=[*self._headers, *headers])

    async def end(self) -> None:
        """End a stream that nothing is the answer of."""
        self.finished = True
        await self._send({"type": "http.response.body", "body": b""})

    async def _begin_stream(self) -> None:
        if not self.status:
            self.status = 200
            headers = [*self._headers, *_STREAM_HEADERS]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
