"""What the pack may put right by itself, where a user sets a rule's enforcement to `remediate`.

Only what is added and changes nothing that is there: a missing label, a missing seccomp profile, a missing
"no" to a token. A remedy changes the properties that it is given, and says whether it did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, cast

from policies.node import Path
from policies.objects import KubernetesObject
from policies.rules.labels import NAME, RECOMMENDED
from policies.rules.mcp import COMPONENT, runs_tools

Properties = dict[str, Any]
Remedy = Callable[[KubernetesObject, Properties], bool]


def remedied(rule: str, subject: KubernetesObject, properties: Properties) -> Properties | None:
    """The properties, changed as the rule wants them; None where its remedy has nothing to add."""
    return properties if REMEDIES[rule](subject, properties) else None


def _mapping(properties: Properties, path: Path) -> Properties | None:
    """The mapping at a path, made where it is missing; None where anything else is there."""
    value: Any = properties
    for name in path:
        if not isinstance(value, dict):
            return None
        if value.get(str(name)) is None:
            value[str(name)] = {}
        value = value[str(name)]
    return cast("Properties", value) if isinstance(value, dict) else None


def _add(properties: Properties, places: Iterable[Path], name: str, value: object) -> bool:
    """Add a field wherever it is missing; True when it was missing somewhere."""
    lacking = [
        place
        for place in (_mapping(properties, path) for path in places)
        if place is not None and place.get(name) is None
    ]
    for place in lacking:
        place[name] = value
    return bool(lacking)


def _labels(subject: KubernetesObject, properties: Properties) -> bool:
    """An object and its pods lend each other the recommended labels; the name is the object's own."""
    places = [subject.labels, *(pod.metadata.at("labels") for pod in subject.pods())]
    changed = False
    for name in RECOMMENDED:
        known = [place.key(name).value for place in places if isinstance(place.key(name).value, str)]
        if name == NAME and isinstance(subject.name, str):
            known.append(subject.name)
        if known:
            changed |= _add(properties, [place.path for place in places], name, known[0])
    return changed


def _seccomp(subject: KubernetesObject, properties: Properties) -> bool:
    specs = [pod.spec for pod in subject.pods() if not (pod.spec.unknown or pod.spec.absent or pod.windows)]
    contexts = [(*spec.path, "securityContext") for spec in specs]
    return _add(properties, contexts, "seccompProfile", {"type": "RuntimeDefault"})


def _no_token(subject: KubernetesObject, properties: Properties) -> bool:
    return _add(properties, _tools(subject), "automountServiceAccountToken", value=False)


def _tools(subject: KubernetesObject) -> Iterator[Path]:
    for pod in subject.pods():
        known = not (pod.spec.unknown or pod.spec.absent or pod.metadata.at("labels").key(COMPONENT).unknown)
        if known and runs_tools(pod):
            yield pod.spec.path


REMEDIES: Final[Mapping[str, Remedy]] = {
    "mcp-no-cluster-token": _no_token,
    "pss-seccomp-restricted": _seccomp,
    "recommended-labels": _labels,
}
"""Rule → its remedy."""
