"""Two revisions of real programs, each evaluated by its own code."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.preview_markdown import as_markdown
from cli.preview_report import Report
from cli.preview_sarif import as_sarif
from infra.comparison import prices
from infra.comparison.comparing import Compared, compare_revisions, policy_changes
from infra.comparison.object_changes import Operation
from infra.engine.violation import Violation
from infra.errors import PlatformError
from tests.preview.repository import PROGRAM, commit, git, make, write


def compared(root: Path, against: str = "main") -> Compared:
    return compare_revisions("test", against, prices.load(), project=root, pack=None)


def test_what_is_not_committed_is_the_new_side(tmp_path: Path) -> None:
    root = make(tmp_path / "r")
    write(root, PROGRAM.replace("db:1", "db:2"), "{replicas: 2}")
    found = compared(root)
    (item,) = found.objects.changes
    assert (item.operation, item.reference, item.source) == (
        Operation.CHANGE,
        "StatefulSet/db",
        "__main__.py:8",
    )
    assert sorted(map(str, item.changes)) == [
        "spec.replicas: 1 → 2",
        "spec.template.spec.containers[db].image: db:1 → db:2",
    ]
    assert [(change.old, change.new, change.users) for change in found.images] == [
        ("db:1", "db:2", ("StatefulSet/db",))
    ]


def test_nothing_differs_from_the_same_commit(tmp_path: Path) -> None:
    program = PROGRAM + "\nimport pathlib\npulumi_path = pathlib.Path(__file__).resolve().parent\n"
    program += (
        "k8s.core.v1.ConfigMap('c', metadata={'name': 'c'}, data={'at': str(pulumi_path)}, opts=options)\n"
    )
    found = compared(make(tmp_path / "r", program))
    assert found.objects.changes == ()
    assert found.objects.unchanged == 3


def test_each_side_runs_its_own_modules_not_ours(tmp_path: Path) -> None:
    root = make(tmp_path / "r", PROGRAM.replace('"c"', "__import__('own').CONTEXT"))
    (root / "own.py").write_text("CONTEXT = 'one'\n")
    commit(root)
    (root / "own.py").write_text("CONTEXT = 'two'\n")
    (provider, _) = compared(root).objects.changes
    assert list(map(str, provider.changes)) == ["context: one → two"]


def test_a_stack_that_the_other_revision_has_not_is_all_new(tmp_path: Path) -> None:
    root = make(tmp_path / "r")
    git(root, "rm", "--quiet", "--cached", "Pulumi.test.yaml")
    git(root, "commit", "--quiet", "--message", "without the stack")
    found = compared(root)
    assert not found.old.exists
    assert {item.operation for item in found.objects.changes} == {Operation.CREATE}


def test_a_stack_that_is_gone_is_all_deleted_and_what_holds_data_must_be_acknowledged(tmp_path: Path) -> None:
    root = make(tmp_path / "r")
    (root / "Pulumi.test.yaml").unlink()
    table = prices.load()
    made = Report.of(compared(root), table, [])
    assert not made.compared.new.exists
    assert {item.operation for item in made.compared.objects.changes} == {Operation.DELETE}
    assert [item.reference for item in made.pending] == ["StatefulSet/db"]
    assert made.exit_code == 1
    assert "The stack is gone: there is no Pulumi.test.yaml" in as_markdown(made)
    (loss,) = as_sarif(made)["runs"][0]["results"]
    assert loss["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "__main__.py"


def test_a_program_that_raises_is_told_by_its_line_and_revision(tmp_path: Path) -> None:
    root = make(tmp_path / "r", "\n\nraise KeyError('x')\n")
    write(root)
    with pytest.raises(PlatformError) as error:
        compared(root)
    assert str(error.value) == "revision main: stack test: __main__.py:3: KeyError: 'x'"
    write(root, "\nraise KeyError('y')\n")
    with pytest.raises(PlatformError) as error:
        compared(root)
    assert str(error.value) == "stack test: __main__.py:2: KeyError: 'y'"


def test_what_the_environment_lacks_for_the_other_revision_is_told(tmp_path: Path) -> None:
    root = make(tmp_path / "r", "import gone_since_then\n")
    write(root)
    with pytest.raises(PlatformError) as error:
        compared(root)
    assert "revision main: stack test: __main__.py:1: ModuleNotFoundError" in str(error.value)
    assert "this environment lacks what that revision needs" in error.value.hint


def test_a_revision_from_before_the_engine_is_told(tmp_path: Path) -> None:
    root = make(tmp_path / "r")
    (root / "infra").mkdir()
    (root / "infra" / "__init__.py").write_text("")
    commit(root)
    (root / "infra" / "__init__.py").unlink()
    (root / "infra").rmdir()
    with pytest.raises(PlatformError, match=r"revision main: it has no infra.*, so it is too old"):
        compared(root)


def test_a_wrong_stack_file_of_the_other_revision_is_told_with_its_line(tmp_path: Path) -> None:
    root = make(tmp_path / "r", config="{replicas: 1")
    write(root)
    with pytest.raises(PlatformError, match=r"^revision main: main:Pulumi\.test\.yaml:2: "):
        compared(root)


def test_an_unknown_stack_is_told_before_anything_runs(tmp_path: Path) -> None:
    root = make(tmp_path / "r")
    with pytest.raises(PlatformError, match="there is no stack 'nope'"):
        compare_revisions("nope", "main", prices.load(), project=root, pack=None)


def test_findings_are_new_fixed_or_as_before_wherever_the_object_is_now() -> None:
    def finding(policy: str, urn: str) -> Violation:
        return Violation(policy, urn, f"{policy} says so", "mandatory", "high")

    old = [finding("a", "urn:old"), finding("b", "urn:old"), finding("c", "")]
    new = [finding("a", "urn:new"), finding("d", "urn:new"), finding("c", "")]
    found = policy_changes(old, new, {"urn:old": "urn:new"})
    assert [item.policy for item in found.new] == ["d"]
    assert [item.policy for item in found.fixed] == ["b"]
    assert [item.policy for item in found.unchanged] == ["a", "c"]
