"""Fixtures as data: a stack that keeps every rule (`stack.yaml`, and for rules about what only a program
shows `program.yaml`), and cases that change it in one place.

A file in `cases/` maps a rule's id to its cases. A case changes one object and says what the rule then finds:

    - name: an init container is privileged
      at: Deployment/gateway
      set: {"pod.initContainers[0].securityContext.privileged": true}
      fail: ["pod.initContainers[0].securityContext.privileged"]

`pod` stands for the object's pod spec; `drop` removes fields; `add` and `remove` whole objects of the stack;
`options` sets the rule's options. `resource` names one of the program's instead of `at`; `add_resources` adds
some. `fail` and `unverifiable` list the paths of all findings; without both, the rule passes.
`!unknown` is a value that only the deployment knows, `!secret X` one that the program marked secret,
`!unknown-secret` both.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from policies.evaluate import Status, evaluate
from policies.node import UNKNOWN, Node, Secret
from policies.objects import KubernetesObject, Stack
from policies.program import Resource
from policies.registry import RULES
from policies.rule import Options, Rule

HERE = Path(__file__).parent
TODAY = date(2026, 11, 21)
_POD_PATHS = {"CronJob": "spec.jobTemplate.spec.template.spec", "Pod": "spec"}
_FIRST = "pod.containers[0]"
_SEGMENT = re.compile(r"\['(?P<quoted>[^']+)'\]|\[(?P<index>\d+|\*)\]|\.?(?P<name>[^.\[\]]+)")


class _Loader(yaml.SafeLoader):
    """YAML with `!unknown` and `!secret`; dates stay strings, as in Kubernetes."""


_Loader.add_constructor("!unknown", lambda _loader, _node: UNKNOWN)
_Loader.add_constructor("!unknown-secret", lambda _loader, _node: Secret(UNKNOWN))
_Loader.add_constructor("!secret", lambda _loader, node: Secret(node.value))
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Case:
    rule: str
    name: str
    content: dict[str, Any]

    @property
    def expected(self) -> dict[Status, list[str]]:
        """Paths of the findings by status."""
        kind = str(self.content.get("at", "")).partition("/")[0]
        return {
            status: sorted(_dotted(_expand(kind, path)) for path in self.content.get(status.value, []))
            for status in Status
        }

    @property
    def is_about_a_container(self) -> bool:
        """All that it changes and finds is in the first container of an object."""
        paths = [*self.content.get("fail", []), *self.content.get("unverifiable", [])]
        changed = [*self.content.get("set", {}), *self.content.get("drop", [])]
        return bool(paths) and all(path.startswith(_FIRST) for path in (*paths, *changed))

    def in_group(self, group: str) -> Case:
        """The same in an init or ephemeral container, which is otherwise as the first container."""
        target = _find(GOOD_OBJECTS, self.content["at"])
        first: Any = target
        for segment in _expand(target["kind"], _FIRST):
            first = first[segment]
        there = f"pod.{group}[0]"

        def moved(path: str) -> str:
            return there + path.removeprefix(_FIRST)

        changes = {moved(path): value for path, value in self.content.get("set", {}).items()}
        content = {
            **self.content,
            "set": {f"pod.{group}": [first], **changes},
            **{
                key: [moved(path) for path in self.content[key]]
                for key in ("drop", "fail", "unverifiable")
                if key in self.content
            },
        }
        return Case(self.rule, f"{self.name}, in {group}", content)

    def found_by(self, rule: Rule) -> dict[Status, list[str]]:
        """What a rule finds in this case, as `expected` writes it."""
        options = Options(today=TODAY, **_frozen(self.content.get("options", {})))
        results = evaluate(self.stack(), [rule], options)
        return {
            status: sorted(
                _dotted(_segments(result.path[1:])) for result in results if result.status is status
            )
            for status in Status
        }

    def stack(self) -> Stack:
        objects, program = copy.deepcopy(GOOD_OBJECTS), copy.deepcopy(GOOD_PROGRAM)
        for reference in self.content.get("remove", []):
            if "/" in reference:
                objects.remove(_find(objects, reference))
            else:
                del program[reference]
        objects += copy.deepcopy(self.content.get("add", []))
        program |= {item["id"]: item for item in copy.deepcopy(self.content.get("add_resources", []))}
        if "resource" in self.content:
            self._change(program[self.content["resource"]], "")
        if "at" in self.content:
            target = _find(objects, self.content["at"])
            self._change(target, target["kind"])
        built = self.content.get("built_images")
        return Stack(
            tuple(KubernetesObject(item, origin=f"urn:{item['kind']}") for item in objects),
            built_images=None if built is None else frozenset(built),
            resources=resources_of(program),
        )

    def _change(self, target: dict[str, Any], kind: str) -> None:
        for path, value in self.content.get("set", {}).items():
            _put(target, _expand(kind, path), copy.deepcopy(value))
        for path in self.content.get("drop", []):
            _drop(target, _expand(kind, path))
        if "spoil" in self.content:
            _put(target, *self.content["spoil"])

    @property
    def changed(self) -> list[list[str | int]]:
        """The paths of the fields that it sets, other than what tells one object from another."""
        kind = str(self.content.get("at", "")).partition("/")[0]
        paths = [_expand(kind, path) for path in self.content.get("set", {})]
        of_program = "resource" in self.content
        return [
            path
            for path in paths
            if (path[0] == "properties" if of_program else path[0] not in ("apiVersion", "kind"))
        ]

    def spoiled(self, path: list[str | int], value: Any) -> Case:
        """The same with another value at a path."""
        return Case(self.rule, f"{self.name}, spoiled", {**self.content, "spoil": (path, value)})


def load(path: Path) -> Any:
    return yaml.load(path.read_text(), _Loader)  # noqa: S506 - a SafeLoader with two constructors of ours


def resources_of(program: dict[str, dict[str, Any]]) -> tuple[Resource, ...]:
    def urns(ids: list[str]) -> frozenset[str]:
        return frozenset(f"urn:{id_}" for id_ in ids)

    return tuple(
        Resource(
            type=item["type"],
            name=item["name"],
            urn=f"urn:{id_}",
            node=Node(item["properties"]),
            protect=item.get("protect", False),
            provider=item.get("provider", ""),
            parent=f"urn:{item['parent']}" if "parent" in item else "",
            dependencies=urns(item.get("after", [])),
            property_dependencies={name: urns(ids) for name, ids in item.get("from", {}).items()},
        )
        for id_, item in program.items()
    )


def load_cases() -> list[Case]:
    return [
        Case(rule, content["name"], content)
        for file in sorted((HERE / "cases").glob("*.yaml"))
        for rule, cases in load(file).items()
        for content in cases
    ]


def _frozen(options: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}


def _find(objects: list[dict[str, Any]], reference: str) -> dict[str, Any]:
    kind, _, name = reference.partition("/")
    return next(item for item in objects if item["kind"] == kind and item["metadata"].get("name") == name)


def _segments(path: str) -> list[str | int]:
    return [
        int(match["index"])
        if match["index"] and match["index"] != "*"
        else match["quoted"] or match["name"] or "*"
        for match in _SEGMENT.finditer(path)
    ]


def _expand(kind: str, path: str) -> list[str | int]:
    if path == "pod" or path.startswith("pod."):
        path = _POD_PATHS.get(kind, "spec.template.spec") + path.removeprefix("pod")
    return _segments(path)


def _dotted(segments: Iterable[str | int]) -> str:
    return " ".join(str(segment) for segment in segments)


def _put(target: Any, segments: list[str | int], value: Any) -> None:
    for segment, following in pairwise(segments):
        if isinstance(segment, int):
            target = target[segment]
        else:
            target = target.setdefault(segment, [] if isinstance(following, int) else {})
    last = segments[-1]
    if isinstance(last, int) and last == len(target):
        target.append(value)
    else:
        target[last] = value


def _drop(target: Any, segments: list[str | int]) -> None:
    for segment in segments[:-1]:
        target = target[segment]
    del target[segments[-1]]


GOOD_OBJECTS: list[dict[str, Any]] = [
    json.loads(json.dumps(item))  # YAML's aliases are one object; a case must change one place only
    for item in load(HERE / "stack.yaml")["items"]
]
GOOD_PROGRAM: dict[str, dict[str, Any]] = {item["id"]: item for item in load(HERE / "program.yaml")}
CASES = load_cases()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`case` is every case, `rule` every rule."""
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", CASES, ids=[f"{case.rule}: {case.name}" for case in CASES])
    if "rule" in metafunc.fixturenames:
        metafunc.parametrize("rule", RULES.values(), ids=list(RULES))


@pytest.fixture(scope="session")
def cases() -> list[Case]:
    return CASES


@pytest.fixture(scope="session")
def good_objects() -> list[dict[str, Any]]:
    """The objects of `stack.yaml`."""
    return GOOD_OBJECTS


@pytest.fixture(scope="session")
def good_program() -> tuple[Resource, ...]:
    """The resources of `program.yaml`."""
    return resources_of(GOOD_PROGRAM)
