"""`mcpctl policy` as its users run it: files in, text, JSON or SARIF and an exit code out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from typer.testing import CliRunner

from cli.policy import app
from infra.errors import PlatformError
from tests.preview import sarif_schema

STACK = Path(__file__).parent / "stack.yaml"
BAD_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: bad
spec:
  hostNetwork: true
  containers:
    - name: a
      image: redis:8
      securityContext: {privileged: true}
"""


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


class Run(Protocol):
    def __call__(self, *arguments: object, text: str | None = None) -> Done: ...


@pytest.fixture
def policy() -> Run:
    """Run the command as `mcpctl` does, which prints a PlatformError and exits with 2."""

    def run(*arguments: object, text: str | None = None) -> Done:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=text)
        if isinstance(result.exception, PlatformError):
            return Done(2, result.stdout, f"{result.exception} {result.exception.hint}")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def bad_pod(tmp_path: Path) -> Path:
    file = tmp_path / "pod.yaml"
    file.write_text(BAD_POD)
    return file


def test_a_clean_stack_exits_with_0(policy: Run) -> None:
    done = policy("check", STACK)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 findings, 0 advice, 0 exempt" in done.stdout


def test_findings_exit_with_1_and_name_line_path_and_remedy(policy: Run, bad_pod: Path) -> None:
    done = policy("check", bad_pod, "--only", "pss-baseline")
    assert done.returncode == 1
    assert "pss-privileged: line 10: $.spec.containers[0].securityContext.privileged: " in done.stdout
    assert "Remove securityContext.privileged." in done.stdout
    assert "2 findings" in done.stdout


def test_standard_input(policy: Run) -> None:
    assert policy("check", "-", "--only", "pss-baseline", text=BAD_POD).returncode == 1


def test_json(policy: Run, bad_pod: Path) -> None:
    report = json.loads(policy("check", bad_pod, "--only", "pss-baseline", "--json").stdout)
    assert (report["findings"], report["objects"]) == (2, 1)
    assert {(item["rule"], item["line"]) for item in report["results"]} == {
        ("pss-host-namespaces", 6),
        ("pss-privileged", 10),
    }


def test_sarif(policy: Run, bad_pod: Path) -> None:
    (run,) = json.loads(policy("check", bad_pod, "--only", "pss-baseline", "--sarif").stdout)["runs"]
    first = run["results"][0]
    assert first["ruleId"] in {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert first["level"] == "error"
    location = first["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == str(bad_pod)
    assert location["region"]["startLine"] == 6


def test_sarif_is_valid_whatever_the_file_is_called(policy: Run, tmp_path: Path) -> None:
    file = tmp_path / "a b%20[ü].yaml"
    file.write_text(BAD_POD.replace("name: bad", 'name: "\\e[31mred"'))
    sarif_schema.check(json.loads(policy("check", file, "--sarif").stdout))
    sarif_schema.check(json.loads(policy("check", "-", "--sarif", text=BAD_POD).stdout))


def test_json_is_the_same_in_every_process(tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(f"{BAD_POD}---\n{BAD_POD.replace('kind: Pod', 'kind: PodTemplate')}---\n{HEAD}\n")
    command = [sys.executable, "-m", "cli", "policy", "check", str(file), "--json"]
    printed = {
        subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=False
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1
    assert json.loads(printed.pop())["findings"] > 0


def test_the_stack_decides_what_only_advises(policy: Run, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(STACK.read_text().replace(":2ab5595856f1ed00", ":1.0.0"))
    assert policy("check", file).returncode == 1
    done = policy("check", file, "--stack", "dev")
    assert done.returncode == 0
    assert "image-pinned (advice)" in done.stdout


@pytest.mark.parametrize(("days", "findings", "exempt"), [(30, 0, 1), (-1, 2, 0)], ids=["valid", "expired"])
def test_exemptions_are_counted_and_shown(
    policy: Run, tmp_path: Path, days: int, findings: int, exempt: int
) -> None:
    until = datetime.now(UTC).date() + timedelta(days=days)
    annotations = f"annotations: {{mcp-platform.dev/policy-exempt: 'image-pinned: a trial (until {until})'}}"
    file = tmp_path / "stack.yaml"
    file.write_text(
        STACK.read_text()
        .replace(":2ab5595856f1ed00", ":1.0.0")
        .replace("      name: backup\n", f"      name: backup\n      {annotations}\n", 1)
    )
    done = policy("check", file)
    assert f"{findings} findings, 0 advice, {exempt} exempt" in done.stdout
    assert ("a trial" in done.stdout) == bool(exempt)
    assert done.returncode == bool(findings)


def test_other_registries_and_versions(policy: Run, tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text(STACK.read_text().replace("localhost/mcp-platform/", "registry.example/team/"))
    assert policy("check", file).returncode == 1
    assert policy("check", file, "--allow-registry", "registry.example/team/*").returncode == 0
    assert policy("check", STACK, "--kubernetes-version", "1.30").returncode == 0
    assert policy("check", STACK, "--kubernetes-version", "new").returncode == 2


def test_kinds_that_no_rule_is_about_are_named(policy: Run) -> None:
    done = policy(
        "check", "-", text="apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a, namespace: b}\n"
    )
    assert done.returncode == 0
    assert "not checked, except by the rules about every kind: Widget.example.com (1)" in done.stdout


def test_folders_say_which_files_hold_no_objects(policy: Run, tmp_path: Path, bad_pod: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "values.yaml").write_text("replicas: 2\n")
    done = policy("check", tmp_path)
    assert done.returncode == 1
    assert str(bad_pod) in done.stdout
    assert "not checked, no Kubernetes objects: " in done.stdout
    assert "values.yaml" in done.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "line 2"),
        ("a: b\n c: d", "line 2"),
        ("apiVersion: v1\n", ":1: is not a Kubernetes object: apiVersion or kind is missing"),
        ("- a\n", "is not a Kubernetes object but list"),
        ("apiVersion: v1\nkind: Pod\nkind: Service\n", ":3: the key kind is there twice"),
        ("apiVersion: v1\nkind: List\nitems: {a: b}\n", ":3: items must be a list"),
        ("apiVersion: v1\nkind: Pod\nspec: !!python/object/apply:os.system [id]\n", ":3: the tag"),
        ("\x00", "is not YAML"),
        ("[" * 100_000 + "]" * 100_000, "is nested deeper"),
        ("- " * 100_000 + "a", "is nested deeper"),
    ],
)
def test_bad_files_are_errors_with_their_line(policy: Run, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    done = policy("check", file)
    assert done.returncode == 2
    assert str(file) in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def laughs(template: str, levels: int) -> str:
    """Each level is the one before it in `template`, nine times or once."""
    lines = [f"  l{n}: &l{n} {template.replace('*', f'*l{n - 1}')}" for n in range(1, levels)]
    return "\n".join([HEAD, "data:", "  l0: &l0 [lol]", *lines]) + "\n"


HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}\ndata: &d {{self: *d}}\n", ":4: an anchor holds itself"),
        (f"{HEAD}\ndata: &d {{b: [{{c: *d}}]}}\n", ":4: an anchor holds itself"),
        (laughs("[*, *, *, *, *, *, *, *, *]", 20), "aliases make it too large or deep"),
        (laughs("[*]", 5_000), "aliases make it too large or deep"),
        (laughs("{a: *, <<: {b: *, c: *}}", 60), "aliases make it too large or deep"),
    ],
    ids=["circle", "wide circle", "billion laughs", "depth by aliases", "laughs by merging"],
)
def test_anchors_that_never_end_are_errors(policy: Run, text: str, message: str) -> None:
    done = policy("check", "-", "--only", "secrets", text=text)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_anchors_that_end_are_read_where_they_are_used(policy: Run) -> None:
    text = BAD_POD.replace("{privileged: true}", "&c {privileged: true}") + (
        "  initContainers: [{name: b, image: redis:8, securityContext: *c}]\n"
    )
    report = json.loads(policy("check", "-", "--only", "pss-baseline", "--json", text=text).stdout)
    assert [item["rule"] for item in report["results"]].count("pss-privileged") == 2


def test_every_document_of_a_file_is_checked(policy: Run) -> None:
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"
    done = policy(
        "check", "-", "--only", "pss-baseline", "--json", text=f"---\n{namespace}---\n---\n{BAD_POD}---\n"
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["objects"], report["findings"]) == (1, 2, 2)
    assert {item["line"] for item in report["results"]} == {12, 16}


def test_a_bad_document_after_good_ones_is_an_error(policy: Run) -> None:
    done = policy("check", "-", text=f"{BAD_POD}---\nkind: [\n")
    assert (done.returncode, "line 13" in done.stderr or "line 12" in done.stderr) == (2, True), done.stderr


def test_rules_about_the_program_are_said_to_be_unasked(policy: Run) -> None:
    report = json.loads(policy("check", STACK, "--json").stdout)
    assert report["unasked"] > 30
    assert "not asked: " in policy("check", STACK).stdout
    only = json.loads(policy("check", STACK, "--only", "pss-baseline", "--json").stdout)
    assert only["unasked"] == 0


def test_huge_and_missing_files_are_errors(policy: Run, tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    done = policy("check", huge)
    assert (done.returncode, "larger than 32 MiB" in done.stderr) == (2, True)
    done = policy("check", tmp_path / "missing.yaml")
    assert (done.returncode, "No such file" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "apiVersion: v1\nkind: List\n",
        "---\n---\n",
        "apiVersion: v1\nkind: List\nitems: []\n",
    ],
)
def test_where_there_is_nothing_to_check_nothing_passes(policy: Run, text: str) -> None:
    done = policy("check", "-", text=text)
    assert (done.returncode, "nothing was checked" in done.stderr) == (2, True), done.stderr


def test_huge_input_by_a_pipe_is_an_error(policy: Run) -> None:
    done = policy("check", "-", text="# padding\n" * (4 * 1024 * 1024))
    assert (done.returncode, "larger than 32 MiB" in done.stderr) == (2, True)


def test_thousands_of_documents_are_read_in_one_pass(policy: Run) -> None:
    done = policy(
        "check", "-", "--json", text="".join(f"---\n{HEAD}\ndata: {{n: x{n}}}\n" for n in range(5000))
    )
    assert json.loads(done.stdout)["objects"] == 5000


def test_rules_that_files_cannot_answer_are_an_error_when_they_are_all(policy: Run) -> None:
    done = policy("check", STACK, "--only", "aws-storage,aws-data")
    assert (done.returncode, "nothing was checked" in done.stderr) == (2, True)
    assert policy("check", STACK, "--only", "aws-storage,pss-baseline").returncode == 0


def test_a_version_that_the_rules_do_not_know_is_an_error(policy: Run) -> None:
    done = policy("check", STACK, "--kubernetes-version", "1.99")
    assert (done.returncode, "up to 1.3" in done.stderr) == (2, True)


def test_what_cannot_be_verified_is_counted(policy: Run) -> None:
    text = BAD_POD.replace("name: bad", "name: bad\n  namespace: 5").replace("hostNetwork: true", "")
    policies = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {}\n"
    report = json.loads(policy("check", "-", "--only", "network", "--json", text=text + policies).stdout)
    statuses = [item["status"] for item in report["results"]]
    assert report["unverifiable"] == statuses.count("unverifiable") > 0


def test_an_unknown_family_is_an_error_that_names_the_families(policy: Run) -> None:
    done = policy("check", STACK, "--only", "pss")
    assert done.returncode == 2
    assert "there is no family of rules pss" in done.stderr
    assert "pss-restricted" in done.stderr


def test_list_and_explain(policy: Run) -> None:
    rules: list[dict[str, Any]] = json.loads(policy("list", "--json").stdout)
    assert len(rules) >= 80
    assert all(rule["id"] in policy("list").stdout for rule in rules[:3])
    done = policy("explain", "liveness-not-dependency")
    assert "/health/live" in done.stdout
    assert policy("explain", "nonsense").returncode == 2
