"""What a rule is: a pure function with what one needs to know about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, Final

from policies.node import MalformedError, Node, Path
from policies.objects import KubernetesObject, Pod, Stack, Subject
from policies.program import Resource

LATEST_KUBERNETES: Final = (1, 37)
"""The newest Kubernetes whose Pod Security Standards the rules know."""

REGISTRIES: Final = (
    "localhost/mcp-platform/*",  # what a stack builds and loads itself
    "*.dkr.ecr.*.amazonaws.com/*",  # its own registry in the cloud
    "docker.io/library/*",  # Docker's official images
    "ghcr.io/*",
    "registry.k8s.io/*",
)


class Severity(Enum):
    """How bad a violation is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Enforcement(Enum):
    """What a violation does: stop the deployment, warn, nothing."""

    MANDATORY = "mandatory"
    ADVISORY = "advisory"
    DISABLED = "disabled"


class Verdict(Enum):
    """What a rule says about a field that it doesn't pass."""

    FAIL = "fail"
    UNVERIFIABLE = "unverifiable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What rules may depend on besides the objects.

    Attributes:
        environment: "dev" or "prod"; prod is the strictest.
        kubernetes: Version (major, minor) whose Pod Security Standards apply.
        allowed_registries: Patterns (`*` matches anything) of image names without tag and digest.
        drain_seconds: How long a service finishes what is in flight after SIGTERM.
        minimum_replicas: Of a stateless service in prod.
        backup_days: How far back a managed database can be restored.
        metrics_ports: Names of the container ports that metrics are scraped at.
        exposed_services: Values of `app.kubernetes.io/name` whose Services may be reached from outside.
        today: For the expiry of exemptions.
    """

    environment: str = "prod"
    kubernetes: tuple[int, int] = LATEST_KUBERNETES
    allowed_registries: tuple[str, ...] = REGISTRIES
    drain_seconds: int = 20
    minimum_replicas: int = 2
    backup_days: int = 7
    metrics_ports: tuple[str, ...] = ("ops", "metrics")
    exposed_services: tuple[str, ...] = ("gateway",)
    today: date = field(default_factory=lambda: datetime.now(UTC).date())


def environment_of(stack: str | None) -> str:
    """Which enforcement a stack gets: "dev" for `dev`, `dev-…` (also `org/project/dev`), else "prod"."""
    name = (stack or "").rsplit("/", 1)[-1]
    return "dev" if name == "dev" or name.startswith("dev-") else "prod"


@dataclass(frozen=True, slots=True)
class Finding:
    """A field that fails, or can't be verified before the deployment.

    Attributes:
        path: Of the field in its object.
        message: What is wrong, as a sentence about the field.
        verdict: Fail or unverifiable.
        subject: The object, where a whole-stack rule names one.
    """

    path: Path
    message: str
    verdict: Verdict = Verdict.FAIL
    subject: Subject | None = None


Findings = Iterator[Finding]
ObjectCheck = Callable[[KubernetesObject, Options], Iterable[Finding]]
ResourceCheck = Callable[[Resource, Options], Iterable[Finding]]
PodCheck = Callable[[Pod, Options], Iterable[Finding]]
StackCheck = Callable[[Stack, Options], Iterable[Finding]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule: exactly one of `check_object`, `check_resource` and `check_stack` is set.

    Attributes:
        kinds: Kinds the rule looks at (`Deployment.apps`), or types (`aws:s3/bucket:Bucket`); empty for all.
        program: It looks at what a program declares, which plain manifests don't show.
        settings: Names of the `Options` fields that a user may set for this rule.
    """

    id: str
    family: str
    title: str
    severity: Severity
    remediation: str
    references: tuple[str, ...] = ()
    enforcement: Mapping[str, Enforcement]
    kinds: frozenset[str] = frozenset()
    settings: tuple[str, ...] = ()
    program: bool = False
    check_object: ObjectCheck | None = None
    check_resource: ResourceCheck | None = None
    check_stack: StackCheck | None = None

    def in_environment(self, environment: str) -> Enforcement:
        """What a violation does in "dev" or "prod"."""
        return self.enforcement[environment]


def fail(node: Node, message: str, subject: Subject | None = None) -> Finding:
    """A field that fails, or is unverifiable when its value is unknown."""
    verdict = Verdict.UNVERIFIABLE if node.unknown else Verdict.FAIL
    return Finding(node.path, message, verdict, subject)


def forbid(node: Node, wrong: Callable[[Any], bool], message: str) -> Findings:
    """An optional field: absent passes, unknown is unverifiable, a value fails where `wrong(value)`."""
    if not node.absent and (node.unknown or wrong(node.value)):
        yield fail(node, message)


def require(node: Node, right: Callable[[Any], bool], message: str) -> Findings:
    """A required field: absent fails, unknown is unverifiable, a value fails unless `right(value)`."""
    if node.unknown or node.absent or not right(node.value):
        yield fail(node, message)


def require_any(
    answers: Iterable[bool | None], node: Node, message: str, subject: Subject | None = None
) -> Findings:
    """Something must hold for one of many: passes with one True, else is unverifiable with one None."""
    answers = list(answers)
    if True not in answers:
        verdict = Verdict.UNVERIFIABLE if None in answers else Verdict.FAIL
        yield Finding(node.path, message, verdict, subject)


def about(subject: Subject, findings: Iterable[Finding]) -> Findings:
    """The findings of a whole-stack rule, with the one that they are about."""
    for finding in findings:
        yield replace(finding, subject=subject)


def none_of(allowed: Collection[str]) -> Callable[[Any], bool]:
    """A predicate for `forbid`: the value is none of these strings."""
    return lambda value: not isinstance(value, str) or value not in allowed


def is_set(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """A predicate for `forbid` where Kubernetes treats false, "", 0 and [] like an absent field."""
    return bool(value)


def malformed(error: MalformedError) -> Finding:
    """A field of the wrong type fails every rule that needs to read it, so that nothing passes unread."""
    return Finding(error.node.path, f"must be {error.expected}, so this can't be checked")
