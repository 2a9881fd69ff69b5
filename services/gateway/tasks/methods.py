"""What callers see of tasks: calls that become one, and the methods about them."""

from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Final, TypeVar

from services.gateway.authorization import Kind
from services.gateway.call import Call, Era, tool_of
from services.gateway.config_tasks import Tasks as TasksSettings
from services.gateway.config_tasks import TaskTool
from services.gateway.eras import CAPABILITIES_KEY
from services.gateway.errors import (
    INVALID_PARAMS,
    MISSING_CLIENT_CAPABILITY,
    RATE_LIMITED,
    UNAVAILABLE,
    HttpRefusal,
    RpcError,
)
from services.gateway.extensions import TASKS
from services.gateway.fleet import Fleet
from services.gateway.lists import Lists
from services.gateway.messages import DECODE_ERRORS, RawObject, decode_object, decode_text
from services.gateway.targets import Targets
from services.gateway.tasks.request import kept
from services.gateway.tasks.runner import Runner
from services.gateway.tasks.store import TaskStore, TooManyTasksError
from services.gateway.tasks.task import Task, created, detailed
from services.kit.postgres.database import DatabaseDownError

_RETRY_AFTER: Final = ((b"retry-after", b"2"),)

T = TypeVar("T")
Answer = Callable[[Call], Awaitable[RawObject]]


class TaskMethods:
    """Answers `tools/call`, `tasks/get`, `tasks/update` and `tasks/cancel`."""

    def __init__(
        self,
        answer: Answer,
        store: TaskStore,
        runner: Runner,
        settings: TasksSettings,
        fleet: Fleet,
        lists: Lists,
        targets: Targets,
    ) -> None:
        """Prepare; `answer` is how `tools/call` is answered without tasks."""
        self._answer = answer
        self._store = store
        self._runner = runner
        self._settings = settings
        self._fleet = fleet
        self._lists = lists
        self._targets = targets

    async def call(self, call: Call) -> RawObject:
        """The result, or a task where the tool is one of those and the caller takes tasks.

        Raises:
            RpcError: as `answer`; or the caller takes no tasks, and the tool needs it.
            HttpRefusal: there can't be a task now, or not one more.
        """
        rule = self._rule(call)
        if rule is None:
            return await self._answer(call)
        if not declares(call):
            if rule.required:
                raise _missing_capability()
            return await self._answer(call)
        if rule.ask_first and "inputResponses" not in call.params:
            return await self._answer(call)
        return created(await self._create(call), self._settings.poll_seconds)

    async def get(self, call: Call) -> RawObject:
        """The task as it is now, with its result or error.

        Raises:
            RpcError: there is no such task of the caller's.
        """
        return detailed(await self._find(call), self._settings.poll_seconds)

    async def update(self, call: Call) -> RawObject:
        """Take responses to what a task asks; nothing is answered.

        Raises:
            RpcError: as `get`, or there are no responses.
        """
        task = await self._find(call)
        try:
            responses = decode_object(call.params["inputResponses"])
        except (KeyError, *DECODE_ERRORS):
            message = f"{call.method} needs the parameter 'inputResponses' (an object)"
            raise RpcError(INVALID_PARAMS, message) from None
        if await _available(self._store.answer(task.id, call.principal, responses)):
            self._runner.look()
        return {}

    async def cancel(self, call: Call) -> RawObject:
        """End a task, unless it has ended; nothing is answered.

        Raises:
            RpcError: as `get`.
        """
        task = await self._find(call)
        await _available(self._store.cancel(task.id, call.principal))
        self._runner.look()
        return {}

    def _rule(self, call: Call) -> TaskTool | None:
        name = tool_of(call)
        if name is None or call.era is not Era.STATELESS:
            return None
        rule = next((it for it in self._settings.tools if fnmatchcase(name, it.match)), None)
        if rule is not None:
            return rule
        target = self._targets.one(call.method, call.params)
        server = self._fleet.get(target.server)
        support = None if server is None else server.task_tools.get(target.name)
        return None if support is None else TaskTool(match=name, required=support == "required")

    async def _create(self, call: Call) -> Task:
        target = self._targets.one(call.method, call.params)
        server = self._fleet.get(target.server)
        if server is None or not target.name:
            raise target.unknown()
        call.server, call.target = server.name, target.name
        if server.cache_rules is None:  # nothing is known of its tools yet
            await self._lists.learn(server, call)
        repeatable = target.name in server.repeatable_tools
        try:
            task = await _available(
                self._store.create(
                    call.principal, server.name, target.name, kept(call), repeatable=repeatable
                )
            )
        except TooManyTasksError:
            message = f"you have {self._settings.per_principal} tasks already; they expire"
            raise HttpRefusal(
                429, message, reason="limit_tasks", code=RATE_LIMITED, headers=_RETRY_AFTER, violation=False
            ) from None
        self._runner.look()
        return task

    async def _find(self, call: Call) -> Task:
        if not declares(call):
            raise _missing_capability()
        try:
            task_id = decode_text(call.params["taskId"])
        except (KeyError, *DECODE_ERRORS):
            raise RpcError(INVALID_PARAMS, f"{call.method} needs the parameter 'taskId' (text)") from None
        task = await _available(self._store.get(task_id.replace("\0", ""), call.principal))
        if task is None or not call.view.decide(Kind.TOOL, task.server, task.tool).allowed:
            raise RpcError(INVALID_PARAMS, "Task not found", {"taskId": task_id[:200]})
        call.server, call.target = task.server, task.tool
        return task


def declares(call: Call) -> bool:
    """Whether the caller says that it takes tasks."""
    capabilities = call.meta.get(CAPABILITIES_KEY)
    if capabilities is None or TASKS.encode() not in bytes(capabilities):
        return False
    try:
        return TASKS in decode_object(decode_object(capabilities)["extensions"])
    except (KeyError, *DECODE_ERRORS):
        return False


def _missing_capability() -> RpcError:
    needed = {"requiredCapabilities": {"extensions": {TASKS: {}}}}
    return RpcError(MISSING_CLIENT_CAPABILITY, f"the client must declare the extension {TASKS}", needed)


async def _available(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except DatabaseDownError:
        raise HttpRefusal(
            503,
            "tasks can't be kept at the moment",
            reason="tasks_unavailable",
            code=UNAVAILABLE,
            headers=_RETRY_AFTER,
            violation=False,
        ) from None
