"""Waiting for a cluster to be ready, and saying what it is that isn't."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable

from infra.cluster import launch, status
from infra.cluster.report import Report, log_tail
from infra.cluster.spec import DEFAULT_NAME, Layout
from infra.errors import PlatformError

READY_SECONDS = 120.0
CRASHES_THAT_COUNT = 3  # while we wait; once or twice may be a component that was early
POLL_SECONDS = 0.1


class Wait:
    """One wait, with one deadline for all of its parts."""

    def __init__(self, layout: Layout, report: Report, seconds: float = READY_SECONDS) -> None:
        self.layout = layout
        self.report = report
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.restarts_before = {one.name: one.restarts for one in status.components(layout)}

    def for_component(self, name: str) -> None:
        """Wait until one component is ready."""
        self._for(lambda component: component == name)

    def for_all_components(self) -> None:
        """Wait until every component is ready."""
        self._for(lambda _: True)

    def until(self, condition: Callable[[], bool], what: str, *, culprit: str) -> None:
        """Wait for anything else; `culprit` is the component whose log may tell why it doesn't come."""
        if not _holds(condition):
            self.report(f"waiting for {what}")
        while not _holds(condition):
            if time.monotonic() > self.deadline:
                raise self._failure(f"{what} was not there within {self.seconds:.0f} s", culprit)
            time.sleep(POLL_SECONDS)

    def _for(self, is_wanted: Callable[[str], bool]) -> None:
        shown = ""
        while True:
            known = status.components(self.layout)
            missing = [one.name for one in known if is_wanted(one.name) and one.state != "ready"]
            if known and not missing:
                return
            self._check(known, missing)
            line = f"waiting for {', '.join(missing)}"
            if missing and line != shown:
                self.report(line)
                shown = line
            time.sleep(POLL_SECONDS)

    def _check(self, known: list[status.ComponentStatus], missing: list[str]) -> None:
        """End the wait when there is nothing to wait for any more."""
        if launch.running(self.layout) is None:
            raise self._failure("its supervisor ended", launch.LOG)
        for one in known:
            crashes = one.restarts - self.restarts_before.get(one.name, 0)
            if crashes >= CRASHES_THAT_COUNT and one.state != "ready":
                raise self._failure(f"{one.name} ended {crashes} times", one.name)
        if time.monotonic() > self.deadline:
            culprit = missing[0] if missing else launch.LOG
            raise self._failure(f"{culprit} was not ready within {self.seconds:.0f} s", culprit)

    def _failure(self, message: str, component: str) -> PlatformError:
        """An error that shows the last lines of a component's log."""
        name, log = self.layout.root.name, self.layout.log(component)
        option = name_option(name)
        return PlatformError(
            f"cluster {name}: {message}. The last lines of {log}:\n{log_tail(log)}",
            hint=f"`mcpctl cluster status{option}` shows every component; "
            f"`mcpctl cluster up{option}` again goes on from here",
        )


def name_option(name: str) -> str:
    """How a command line names a cluster."""
    return "" if name == DEFAULT_NAME else f" --name {name}"


def _holds(condition: Callable[[], bool]) -> bool:
    """Whether a condition holds; an API server that doesn't answer just now can't tell."""
    try:
        return condition()
    except (OSError, http.client.HTTPException):
        return False
