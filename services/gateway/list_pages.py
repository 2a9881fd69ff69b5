"""One server's list, page by page, without what is hidden in its texts."""

from collections.abc import AsyncGenerator
from typing import Final

from services.gateway.call import Call
from services.gateway.content.filtering import ContentFilter
from services.gateway.errors import RpcError, UpstreamError
from services.gateway.fleet import Endpoint, Server
from services.gateway.messages import RawObject
from services.gateway.questions import question
from services.gateway.upstream import Upstreams
from services.kit.metrics import ErrorType

MAX_PAGES: Final = 100
"""A server whose list has more pages than this is treated as broken."""


class ListPages:
    """Asks servers for lists."""

    def __init__(self, upstreams: Upstreams, content: ContentFilter, seconds: float) -> None:
        """Prepare.

        Args:
            upstreams: the way to servers.
            content: cleans what they answer.
            seconds: what they have to answer one page.
        """
        self._upstreams = upstreams
        self._content = content
        self._seconds = seconds

    async def of(
        self, server: Server, call: Call, items: str, only: Endpoint | None = None
    ) -> AsyncGenerator[RawObject]:
        """The pages of the list that `call` asks for.

        Args:
            server: who is asked.
            call: on whose behalf, and by which method.
            items: the member of a page that holds the items.
            only: the replica to ask, where it matters which.

        Raises:
            RpcError: the server can't be asked, answers with an error, or without end.
            KeyError: a page has no items.
        """
        cursor = None
        seen: set[bytes] = set()
        for _ in range(MAX_PAGES):
            overrides = {} if cursor is None else {"cursor": cursor}
            asked = question(call, overrides, without=() if cursor else ("cursor",))
            asked.on_event = None
            asked.seconds = self._seconds
            asked.only = only
            reply = await self._upstreams.ask(server, asked)
            if reply.error:
                raise RpcError(reply.error.code, self._content.text(reply.error.message, server.name))
            assert isinstance(reply.result, dict)  # noqa: S101 - what isn't an error is a result
            page = reply.result
            page[items] = await self._content.listed(page[items], server.name)
            yield page
            cursor = page.get("nextCursor")
            if cursor is None or bytes(cursor) == b"null":
                return
            if bytes(cursor) in seen:
                break
            seen.add(bytes(cursor))
        raise UpstreamError(server.name, ErrorType.BAD_RESPONSE, "answered with a list that doesn't end")
