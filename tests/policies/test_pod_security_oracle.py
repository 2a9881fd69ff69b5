"""The same verdicts as Kubernetes' own Pod Security admission, on upstream's own fixtures.

The fixtures are part of the Go module k8s.io/pod-security-admission: pods that pass and fail each level, for
each version since 1.0. Go fetches the module and checks its sum; nothing of it is kept here.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from infra.cluster import silent
from infra.cluster.golang import find_go
from infra.cluster.spec import home
from policies.evaluate import evaluate
from policies.objects import KubernetesObject, Stack
from policies.registry import rules_of
from policies.rule import LATEST_KUBERNETES, Options

MODULE = "k8s.io/pod-security-admission@v0.37.2"
LEVELS = {
    "baseline": frozenset({"pss-baseline"}),
    "restricted": frozenset({"pss-baseline", "pss-restricted"}),
}
FIXTURES = 4537
"""How many this version of the module has: a change of its layout must not look like success."""


@pytest.fixture(scope="module")
def fixtures() -> Path:
    go = find_go(home(), silent)
    answer = subprocess.run(
        [go, "mod", "download", "-json", MODULE], capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        pytest.skip(f"Go can't fetch {MODULE}: {answer.stdout or answer.stderr}")
    return Path(json.loads(answer.stdout)["Dir"]) / "test" / "testdata"


def refuses(file: Path, families: frozenset[str], version: tuple[int, int]) -> bool:
    pod = KubernetesObject(yaml.load(file.read_bytes(), yaml.CSafeLoader))
    return bool(evaluate(Stack((pod,)), rules_of(families), Options(kubernetes=version)))


def test_every_fixture_of_every_version_gets_upstreams_verdict(fixtures: Path) -> None:
    files = sorted(fixtures.glob("*/v*/*/*.yaml"))
    wrong: list[str] = []
    for file in files:
        level, version, verdict = file.parts[-4:-1]
        major, minor = version.removeprefix("v").split(".")
        if refuses(file, LEVELS[level], (int(major), int(minor))) != (verdict == "fail"):
            wrong.append(str(file.relative_to(fixtures)))
    assert wrong == []
    assert len(files) == FIXTURES


def test_the_newest_fixtures_get_the_same_verdict_by_the_newest_version_known_here(fixtures: Path) -> None:
    newest = max(fixtures.glob("restricted/v*"), key=lambda folder: int(folder.name.split(".")[1])).name
    for level, families in LEVELS.items():
        for file in sorted((fixtures / level / newest).glob("*/*.yaml")):
            assert refuses(file, families, LATEST_KUBERNETES) == (file.parent.name == "fail"), file
