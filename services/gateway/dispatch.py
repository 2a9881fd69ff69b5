"""Which method is answered by what, in which protocol generation, and which scope it needs."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.gateway import own_methods
from services.gateway.access import CALL_SCOPE, READ_SCOPE
from services.gateway.call import Call, Era
from services.gateway.errors import METHOD_NOT_FOUND, RpcError
from services.gateway.extensions import TASKS
from services.gateway.forward import Forwarder
from services.gateway.list_parts import LISTS
from services.gateway.listening.changes import METHOD as LISTEN
from services.gateway.listening.older import SUBSCRIBE, UNSUBSCRIBE
from services.gateway.listening.service import ListeningService
from services.gateway.lists import Lists
from services.gateway.messages import RawObject
from services.gateway.search import definition
from services.gateway.search.tool_search import ToolSearch
from services.gateway.session import LogLevels

if TYPE_CHECKING:
    from services.gateway.tasks.methods import TaskMethods  # loads the driver of Postgres


@dataclass(frozen=True, slots=True)
class Route:
    """How one method is answered; the result is written as 2026-07-28 has it."""

    answer: Callable[[Call], Awaitable[RawObject]]
    scope: str | None = None
    """None: any valid token will do."""
    eras: frozenset[Era] = frozenset(Era)


def routes(
    forwarder: Forwarder,
    lists: Lists,
    levels: LogLevels,
    listening: ListeningService | None,
    tasks: "TaskMethods | None" = None,
    search: ToolSearch | None = None,
) -> Mapping[str, Route]:
    """The whole method table; without `listening` and `tasks`, none of their methods."""
    stateless, handshake = frozenset({Era.STATELESS}), frozenset({Era.HANDSHAKE})
    listens = listening is not None
    extensions = [] if tasks is None else [TASKS]
    call_tool = forwarder.forward if tasks is None else tasks.call
    lists_of = {method: Route(lists.answer, READ_SCOPE) for method in LISTS}
    instructions = own_methods.INSTRUCTIONS
    if search is not None:
        call_tool = search.around(call_tool)
        lists_of["tools/list"] = Route(search.list, READ_SCOPE)
        instructions += definition.INSTRUCTIONS
    return {
        **({} if listening is None else _about_changes(listening)),
        "server/discover": Route(
            own_methods.discover(extensions, instructions, listening=listens), eras=stateless
        ),
        "initialize": Route(own_methods.initialize(instructions, listening=listens), eras=handshake),
        "logging/setLevel": Route(own_methods.set_level(levels), eras=handshake),
        "ping": Route(own_methods.ping, eras=handshake),
        **lists_of,
        "resources/read": Route(forwarder.forward, READ_SCOPE),
        "prompts/get": Route(forwarder.forward, READ_SCOPE),
        "completion/complete": Route(forwarder.complete, READ_SCOPE),
        "tools/call": Route(call_tool, CALL_SCOPE),
        **({} if tasks is None else _about_tasks(tasks)),
    }


def _about_changes(listening: ListeningService) -> Mapping[str, Route]:
    handshake = frozenset({Era.HANDSHAKE})
    return {
        LISTEN: Route(listening.listen, READ_SCOPE, frozenset({Era.STATELESS})),
        SUBSCRIBE: Route(listening.older.subscribe, READ_SCOPE, handshake),
        UNSUBSCRIBE: Route(listening.older.unsubscribe, READ_SCOPE, handshake),
    }


def _about_tasks(tasks: "TaskMethods") -> Mapping[str, Route]:
    answers = {"tasks/get": tasks.get, "tasks/update": tasks.update, "tasks/cancel": tasks.cancel}
    eras = frozenset({Era.STATELESS})
    return {method: Route(answer, CALL_SCOPE, eras) for method, answer in answers.items()}


def route_for(table: Mapping[str, Route], method: str, era: Era) -> Route:
    """The method's route.

    Raises:
        RpcError: there is no such method in the caller's generation.
    """
    route = table.get(method)
    if route is None or era not in route.eras:
        raise RpcError(METHOD_NOT_FOUND, "Method not found", {"method": method[:200]})
    return route
