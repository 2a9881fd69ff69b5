"""Evaluate two revisions of the program side by side, each by its own code, and compare them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from infra.comparison.cost import Estimate, estimate
from infra.comparison.image_changes import ImageChange, image_changes
from infra.comparison.object_changes import Comparison, compare
from infra.comparison.prices import Prices
from infra.comparison.revision import Revision, checked_out, working_tree
from infra.comparison.secret_texts import without_tokens
from infra.engine.analyzer import Analyzer
from infra.engine.graph import Data, Graph
from infra.engine.project import load
from infra.engine.record import REPOSITORY, record
from infra.engine.violation import Violation
from infra.errors import PlatformError

_ENTRY: Final = Path("infra/engine/evaluate.py")
_LACKING: Final = ("ModuleNotFoundError", "ImportError", "No module named")


@dataclass(frozen=True, slots=True)
class Side:
    """One revision, evaluated.

    Attributes:
        revision: The revision.
        graph: What its program declares; empty where it has no such stack.
        violations: What its own policies say of it.
        seconds: How long that took.
        exists: Whether it has the stack.
    """

    revision: Revision
    graph: Graph
    violations: tuple[Violation, ...]
    seconds: float
    exists: bool = True


@dataclass(frozen=True, slots=True)
class PolicyChanges:
    """What policies say of the new revision that they did not say of the old one, and the reverse."""

    new: tuple[Violation, ...]
    fixed: tuple[Violation, ...]
    unchanged: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """All that is known of what a change of the program does.

    Attributes:
        stack: The stack's name.
        old: The revision before.
        new: The revision after, usually the working tree.
        objects: What happens to each object.
        policies: What becomes of the policies' findings.
        images: Which images change.
        old_cost: The estimate before.
        new_cost: The estimate after.
        seconds: How long both evaluations took, side by side.
    """

    stack: str
    old: Side
    new: Side
    objects: Comparison
    policies: PolicyChanges
    images: tuple[ImageChange, ...]
    old_cost: Estimate
    new_cost: Estimate
    seconds: float


def compare_revisions(
    stack: str, against: str, prices: Prices, *, project: Path = REPOSITORY, pack: str | None = "policies"
) -> Compared:
    """Compare the project as it is on disk with another revision of it.

    Args:
        stack: The stack's name.
        against: A branch, tag or commit.
        prices: For the estimates.
        project: The folder of `Pulumi.yaml`.
        pack: The policy pack's folder in the project, or None for no policies.

    Raises:
        PlatformError: No such revision, or a program that can't be evaluated.
    """
    now = working_tree(project)
    with checked_out(project, against) as before:
        if _has(now, stack) or not _has(before, stack):
            load(project, stack)  # no such stack, or a file that is not YAML, before anything takes time
        started = time.monotonic()
        new, old = _both(lambda: _evaluated(now, stack, pack), lambda: _evaluated(before, stack, pack))
        seconds = time.monotonic() - started
    objects = compare(old.graph, new.graph)
    return Compared(
        stack=stack,
        old=old,
        new=new,
        objects=objects,
        policies=policy_changes(old.violations, new.violations, objects.new_urns),
        images=tuple(image_changes(old.graph, new.graph, objects.new_urns)),
        old_cost=estimate(old.graph, prices),
        new_cost=estimate(new.graph, prices),
        seconds=seconds,
    )


def policy_changes(
    old: Iterable[Violation], new: Iterable[Violation], new_urns: Mapping[str, str]
) -> PolicyChanges:
    """Pair findings by policy, message and object, wherever the object is in the program now."""
    before = [replace(item, urn=new_urns.get(item.urn, item.urn)) for item in old]
    after = list(new)
    known_before, known_after = set(map(_finding, before)), set(map(_finding, after))
    return PolicyChanges(
        new=tuple(item for item in after if _finding(item) not in known_before),
        fixed=tuple(item for item in before if _finding(item) not in known_after),
        unchanged=tuple(item for item in after if _finding(item) in known_before),
    )


def _finding(item: Violation) -> tuple[str, str, str]:
    return item.policy, item.urn, item.message


def _both(*works: Callable[[], Side]) -> list[Side]:
    """The results of both, the first one's failure before the second's.

    Daemons: on Ctrl-C nobody waits for them, and what they started ends with this process.
    """
    results: list[Side | BaseException | None] = [None] * len(works)

    def run(place: int) -> None:
        try:
            results[place] = works[place]()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that waits
            results[place] = error

    threads = [threading.Thread(target=run, args=(place,), daemon=True) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sides: list[Side] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        assert result is not None  # noqa: S101 - every thread has ended and left one or the other
        sides.append(result)
    return sides


def _evaluated(revision: Revision, stack: str, pack: str | None) -> Side:
    started = time.monotonic()
    try:
        found = _evaluate(revision, stack, pack)
    except PlatformError as error:
        if not revision.name:
            raise
        raise _of_revision(error, revision) from None
    if found is None:
        return Side(revision, Graph("", stack, (), {}), (), time.monotonic() - started, exists=False)
    graph, violations = found
    return Side(revision, _anywhere(graph, revision.root), violations, time.monotonic() - started)


def _evaluate(revision: Revision, stack: str, pack: str | None) -> tuple[Graph, tuple[Violation, ...]] | None:
    """What a revision declares, and what its policies say; None where it has no such stack."""
    root = revision.root
    if not _has(revision, stack):
        return None
    code = _code(root)
    if pack is None or not (root / pack).is_dir():
        return record(stack, project=root, code=code), ()
    with Analyzer(root / pack, project=load(root, stack).name, stack=stack, code=code) as analyzer:
        graph = record(stack, project=root, code=code)
        from infra.engine.check import violations  # noqa: PLC0415 - loads Pulumi's SDK, for a second

        found = violations(graph, analyzer)
        return graph, tuple(replace(item, message=without_tokens(item.message)) for item in found)


def _has(revision: Revision, stack: str) -> bool:
    return (revision.root / f"Pulumi.{stack}.yaml").is_file()


def _anywhere(graph: Graph, root: Path) -> Graph:
    """The graph with paths relative to the project: where a revision was written to is no difference."""
    places = [str(place) for place in dict.fromkeys((root, root.resolve()))]

    def relative(value: Data) -> Data:
        if isinstance(value, str):
            for place in places:
                if value == place or value.startswith(f"{place}/"):
                    return value[len(place) :].lstrip("/") or "."
        if isinstance(value, Mapping):
            return {key: relative(item) for key, item in value.items()}
        if isinstance(value, list):
            return [relative(item) for item in value]
        return value

    return replace(
        graph, resources=tuple(replace(item, inputs=relative(item.inputs)) for item in graph.resources)
    )


def _code(root: Path) -> Path:
    """Where a revision's own code is; a project that only has a program is evaluated by ours."""
    if not (root / "infra").is_dir():
        return REPOSITORY
    if not (root / _ENTRY).is_file():
        raise PlatformError(
            f"it has no {_ENTRY}, so it is too old to be evaluated without Pulumi's CLI",
            hint="compare with a newer revision",
        )
    return root


def _of_revision(error: PlatformError, revision: Revision) -> PlatformError:
    """An error of the other revision, which names it instead of a folder that is gone."""
    message = str(error).replace(f"{revision.root}/", f"{revision.name}:")
    hint = error.hint
    if any(word in message for word in _LACKING):
        hint = (
            "this environment lacks what that revision needs; install its locked requirements "
            f"(`git show {revision.name}:requirements/infra.txt`), or compare with a newer revision"
        )
    return PlatformError(f"revision {revision.name}: {message}", hint=hint)
