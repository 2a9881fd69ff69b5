"""Puts together what tasks need; loaded only where they are configured, since it loads Postgres's driver."""

from dataclasses import dataclass

from services.gateway.access import Access
from services.gateway.audit.trail import Trail
from services.gateway.config_tasks import Tasks as TasksSettings
from services.gateway.fleet import Fleet
from services.gateway.forward import Forwarder
from services.gateway.lists import Lists
from services.gateway.permission import Permission
from services.gateway.targets import Targets
from services.gateway.tasks.carrying import Carrier
from services.gateway.tasks.methods import TaskMethods
from services.gateway.tasks.metrics import TaskMetrics
from services.gateway.tasks.runner import Runner
from services.gateway.tasks.store import TaskStore
from services.kit.health import Health
from services.kit.postgres.database import Database


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """The gateway around its tasks."""

    forwarder: Forwarder
    access: Access
    permission: Permission
    trail: Trail
    fleet: Fleet
    lists: Lists
    targets: Targets
    health: Health
    metrics: TaskMetrics


def open_tasks(
    settings: TasksSettings, database: Database, around: Surroundings
) -> tuple[TaskMethods, Runner]:
    """What callers see of tasks, and what carries them out."""
    answer = around.forwarder.forward
    store = TaskStore(database, settings)
    carrier = Carrier(answer, around.access, around.permission, around.trail, settings)
    runner = Runner(store, carrier, settings, around.health, around.metrics)
    methods = TaskMethods(answer, store, runner, settings, around.fleet, around.lists, around.targets)
    return methods, runner
