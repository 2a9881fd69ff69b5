"""What happens to every HTTP request before the SDK sees it: an id for the log, and only POST."""

import re
import uuid
from typing import Final

from structlog.contextvars import clear_contextvars

from services.kit.asgi import TEXT, App, Event, Receive, Scope, Send, respond
from services.kit.logs import bind_request

_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


def post_only(app: App) -> App:
    """Answer 405 to every other method: without sessions there is no stream to GET and nothing to DELETE."""

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] != "POST":
            await respond(send, 405, b"only POST\n", content_type=TEXT, headers=[(b"allow", b"POST")])
        else:
            await app(scope, receive, send)

    return checked


def with_request_id(app: App) -> App:
    """Put the request's id (`X-Request-Id`, or a new one) and trace into the log; answer with the id."""

    async def identified(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given if _WELL_FORMED.fullmatch(given) else uuid.uuid4().hex.encode()
        clear_contextvars()  # tasks of one keep-alive connection inherit each other's context
        bind_request(request_id.decode(), traceparent=headers.get(b"traceparent", b"").decode("latin-1"))
        await app(scope, receive, _adding(send, (b"x-request-id", request_id)))

    return identified


def _adding(send: Send, header: tuple[bytes, bytes]) -> Send:
    async def send_with_header(event: Event) -> None:
        if event["type"] == "http.response.start":
            event["headers"] = [*event["headers"], header]
        await send(event)

    return send_with_header
