"""The page itself: static files. All that it shows comes from `/status.json` and `/tools`, by its script."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from services.gateway.web.operation import Operation, Reply, WebRequest

PATH: Final = "/status"

_FOLDER: Final = Path(__file__).parent / "static"
_TOKEN_NEEDED: Final = b'<meta name="token" content="needed">'
_TOKEN_NOT_NEEDED: Final = b'<meta name="token" content="not needed">'
_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
)


def operations(*, token_needed: bool) -> list[Operation]:
    """The rows of the routing table; whoever may look at the figures is asked for when they are."""
    page = (_FOLDER / "status.html").read_bytes()
    if not token_needed:
        page = page.replace(_TOKEN_NEEDED, _TOKEN_NOT_NEEDED)
    return [
        _file(
            PATH, "text/html; charset=utf-8", page, "A page for the browser that shows the gateway's state"
        ),
        _file(f"{PATH}.css", "text/css; charset=utf-8", _read("status.css"), "How the status page looks"),
        _file(f"{PATH}.svg", "image/svg+xml", _read("status.svg"), "The status page's icon"),
        _file(
            f"{PATH}.js", "text/javascript; charset=utf-8", _read("status.js"), "What the status page does"
        ),
    ]


def _read(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()


def _file(path: str, media: str, content: bytes, summary: str) -> Operation:
    return Operation(
        path=path,
        answer=_answering(Reply(200, content, media.encode(), _HEADERS)),
        scope=None,
        summary=summary,
        returns=str,
        media=media.partition(";")[0],
    )


def _answering(reply: Reply) -> Callable[[WebRequest], Awaitable[Reply]]:
    async def answer(_request: WebRequest) -> Reply:
        return reply

    return answer
