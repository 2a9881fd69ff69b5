"""The few ASGI shapes that services without a web framework need."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"


async def respond(
    send: Send, status: int, body: bytes = b"", *, content_type: bytes = JSON, headers: Headers = ()
) -> None:
    """Send one whole response; `content_type` is left out when there is no body."""
    lines = [*headers, (b"content-length", b"%d" % len(body))]
    if body:
        lines.append((b"content-type", content_type))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


async def answer_lifespan(
    receive: Receive,
    send: Send,
    *,
    startup: Callable[[], Awaitable[None]],
    shutdown: Callable[[], Awaitable[None]],
) -> None:
    """Speak ASGI's lifespan protocol around two coroutines; a failing `startup` stops the server.

    Raises:
        Exception: whatever `startup` or `shutdown` raised, after the server was told.
    """
    await receive()
    try:
        await startup()
    except Exception as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        raise
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await shutdown()
    await send({"type": "lifespan.shutdown.complete"})
