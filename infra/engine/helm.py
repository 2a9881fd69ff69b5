"""Helm 4, which releases the objects of a stack: it applies, waits, prunes, remembers and rolls back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from infra.engine.kubectl import last_line
from infra.engine.process import Result, run, run_watched
from infra.errors import PlatformError

RELEASE: Final = "mcp-platform"
MANAGER: Final = "helm"
"""The field manager that Helm applies with."""

HISTORY: Final = 10
GOOD: Final = ("deployed", "superseded")
PENDING: Final = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")


@dataclass(frozen=True, slots=True)
class Revision:
    """One entry of a release's history.

    Attributes:
        number: Counted from 1.
        status: Helm's word, such as `deployed`, `superseded`, `failed`, `pending-upgrade`.
        content: The first digits of the content hash of what was released.
        updated: When, as Helm writes it (RFC 3339).
        description: Helm's remark.
    """

    number: int
    status: str
    content: str
    updated: str
    description: str


@dataclass(frozen=True, slots=True)
class Helm:
    """Helm for the release of one stack.

    Attributes:
        binary: The program.
        context: A context of the kubeconfig.
        namespace: Where the release is recorded.
        kubeconfig: The file, or None for the user's own.
    """

    binary: Path
    context: str
    namespace: str
    kubeconfig: Path | None = None

    def history(self) -> list[Revision]:
        """All revisions that are kept, oldest first; none before the first release."""
        result = self._run("history", RELEASE, "--max", "256", "--output", "json")
        if result.code:
            if "not found" in result.err:
                return []
            raise _failure("history", result)
        return [_revision(item) for item in json.loads(result.out)]

    def objects(self, revision: int) -> list[dict[str, Any]]:
        """The objects of a revision as they were released."""
        result = self._run("get", "manifest", RELEASE, "--revision", str(revision))
        if result.code:
            raise _failure("get manifest", result)
        return [body for body in yaml.load_all(result.out, Loader=_LOADER) if body]

    def upgrade(self, chart: Path, *, timeout: float, watch: Callable[[], bool]) -> Result:
        """Release a chart and wait until everything is ready; the caller judges the result."""
        return self._run(
            "upgrade",
            RELEASE,
            str(chart),
            "--install",
            "--server-side=true",
            "--force-conflicts",
            "--wait=watcher",
            f"--timeout={timeout:.0f}s",
            f"--history-max={HISTORY}",
            "--skip-schema-validation",
            timeout=timeout + 60,
            watch=watch,
        )

    def rollback(
        self, revision: int, *, timeout: float, watch: Callable[[], bool] | None, wait: bool
    ) -> Result:
        """Release an earlier revision again."""
        return self._run(
            "rollback",
            RELEASE,
            str(revision),
            "--server-side=true",
            "--force-conflicts",
            "--wait=watcher" if wait else "--wait=hookOnly",
            f"--timeout={timeout:.0f}s",
            f"--history-max={HISTORY}",
            timeout=timeout + 60,
            watch=watch,
        )

    def uninstall(self, *, timeout: float) -> None:
        """Delete everything that the release made, but for what carries `helm.sh/resource-policy: keep`.

        Raises:
            PlatformError: Helm failed.
        """
        result = self._run(
            "uninstall",
            RELEASE,
            "--ignore-not-found",
            "--wait=watcher",
            f"--timeout={timeout:.0f}s",
            timeout=timeout + 60,
        )
        if result.code:
            raise _failure("uninstall", result)

    def _run(self, *arguments: str, timeout: float = 120, watch: Callable[[], bool] | None = None) -> Result:
        config = ["--kubeconfig", str(self.kubeconfig)] if self.kubeconfig else []
        target = [*config, "--kube-context", self.context, "--namespace", self.namespace]
        command = [self.binary, *arguments, *target]
        return run_watched(command, timeout=timeout, watch=watch) if watch else run(command, timeout=timeout)


def _failure(command: str, result: Result) -> PlatformError:
    return PlatformError(f"helm {command}: {last_line(result.err)}")


def _revision(item: dict[str, Any]) -> Revision:
    return Revision(
        number=int(item["revision"]),
        status=item["status"],
        content=item["app_version"],
        updated=item["updated"],
        description=item["description"],
    )


class _LOADER(yaml.SafeLoader):
    """YAML without its dates: an annotation such as `2026-01-01` is a text in Kubernetes."""


_LOADER.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
