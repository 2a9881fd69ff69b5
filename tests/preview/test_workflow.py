"""The workflow of pull requests, run here: its steps on a real repository, its comment on GitHub's API."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.cluster import silent
from infra.cluster.golang import find_go
from infra.cluster.spec import home
from tests.end_to_end.checkout import Checkout
from tests.preview import sarif_schema
from tests.preview.github import REPOSITORY as ACME
from tests.preview.github import TOKEN, GitHub, serving
from tests.preview.graphs import REPOSITORY
from tests.preview.repository import commit, git
from tests.preview.workflow import Runner

STACKS = ("dev", "docker", "prod")
GONE = "retired"
"""A stack whose file the pull request deletes."""
WORKFLOWS = REPOSITORY / ".github/workflows"
PREVIEW = WORKFLOWS / "preview.yml"
LINTER = Path(__file__).parent / "actionlint"
SAME_REPOSITORY = "github.event.pull_request.head.repo.full_name == github.repository"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with a pull request: Redis's volume is larger, there are more replicas, a stack is gone."""
    folder = tmp_path_factory.mktemp("repository")
    root = Checkout.copy_to(folder, "default").root
    retired = root / f"Pulumi.{GONE}.yaml"
    retired.write_text((root / "Pulumi.docker.yaml").read_text())
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root, "base")
    git(root, "checkout", "--quiet", "-b", "change")
    stack = root / "Pulumi.prod.yaml"
    text = stack.read_text()
    for old, new in (
        ("volume: { size: 10Gi }", "volume: { size: 20Gi }"),
        ("min: 3, max: 10", "min: 4, max: 10"),
    ):
        assert old in text
        text = text.replace(old, new)
    stack.write_text(text)
    retired.unlink()
    commit(root, "change")
    git(root, "checkout", "--quiet", "--detach", "main")
    git(root, "merge", "--quiet", "--no-ff", "--message", "merge", "change")
    git(root, "config", "uploadpack.allowAnySHA1InWant", "true")
    return root


@pytest.fixture
def github() -> Generator[GitHub]:
    with serving() as running:
        yield running


@pytest.fixture
def runner(repository: Path, github: GitHub, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    git(repository, "update-ref", "refs/pull/7/merge", "HEAD")  # whatever another test had previewed
    base = git(repository, "rev-parse", "main")
    return Runner.read(
        PREVIEW,
        repository=repository,
        folder=tmp_path_factory.mktemp("runner"),
        event={"pull_request": {"number": 7, "body": "acknowledge: StatefulSet/nope", "labels": []}},
        context={"github.event.pull_request.base.sha": base, "github.token": TOKEN},
        environment={"GITHUB_API_URL": github.url, "GITHUB_REPOSITORY": ACME},
    )


def test_the_workflow_previews_comments_and_updates_its_comment(runner: Runner, github: GitHub) -> None:
    ended = runner.job("preview")
    assert [(step.name, step.code) for step in ended] == [("set up", 0), ("preview", 1)], ended[-1].err
    assert "replaced, to be acknowledged: --acknowledge StatefulSet/redis" in ended[-1].out
    found = runner.artifacts / "preview"
    assert {file.name for file in found.iterdir()} == {
        f"{stack}.{suffix}" for stack in (*STACKS, GONE) for suffix in ("json", "log", "md", "sarif")
    }
    prod = json.loads((found / "prod.json").read_text())
    assert prod["loss"]["pending"] == ["StatefulSet/redis"]
    assert prod["loss"]["unknown"] == [{"text": "StatefulSet/nope", "origin": "the pull request's text"}]
    changed = {item["reference"]: item["operation"] for item in prod["objects"]}
    assert {name for name, what in changed.items() if what != "change"} == {"StatefulSet/redis"}
    assert {"HorizontalPodAutoscaler/gateway", "HorizontalPodAutoscaler/filesystem"} < changed.keys()
    assert prod["cost"]["change"]["low"] > 0
    assert prod["policies"]["new"] == []
    assert prod["new"]["changed_files"] == 0
    for stack in ("dev", "docker"):
        other = json.loads((found / f"{stack}.json").read_text())
        assert (other["objects"], other["exit_code"], other["new"]["changed_files"]) == ([], 0, 0)
    gone = json.loads((found / f"{GONE}.json").read_text())
    assert not gone["new"]["has_stack"]
    assert gone["summary"]["deleted"] == len(gone["objects"]) > 0
    data = [f"Volume/{service}-data" for service in ("filesystem", "postgres", "redis")]
    assert sorted(gone["loss"]["pending"]) == data
    logs = {stack: json.loads((found / f"{stack}.sarif").read_text()) for stack in (*STACKS, GONE)}
    for log in logs.values():
        sarif_schema.check(log)
    results = logs["prod"]["runs"][0]["results"]
    assert results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].startswith("infra/")
    assert "### Preview of stack `prod`" in runner.summary

    (step,) = runner.job("comment")
    assert step.code == 0, step.err
    (comment,) = github.comments
    for expected in ("Preview of stack `dev`", "Preview of stack `prod`", "`acknowledge: StatefulSet/redis`"):
        assert expected in comment["body"]
    (runner.artifacts / "preview/prod.md").write_text("the second time\n")
    (runner.artifacts / "preview-pulumi").mkdir()
    (runner.artifacts / "preview-pulumi/pulumi preview of prod.txt").write_text("1 to update\n")
    for used in runner.folder.glob("comment*"):
        shutil.rmtree(used)
    (step,) = runner.job("comment")
    assert step.code == 0, step.err
    (comment,) = github.comments
    assert "the second time" in comment["body"]
    assert "#### pulumi preview of prod\n\n```text\n1 to update\n```" in comment["body"]


def test_what_cannot_be_evaluated_is_told_in_the_comment_and_fails(
    runner: Runner, github: GitHub, repository: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    git(tmp_path, "clone", "--quiet", str(repository), str(broken))
    for stack in ("docker", "prod"):
        (broken / f"Pulumi.{stack}.yaml").write_text("config: [\n")
    program = 'print("postgres://me:canary@db")\nraise ValueError("tool --password canary")\n'
    (broken / "infra/__main__.py").write_text(program)
    commit(broken, "break it")
    git(repository, "fetch", "--quiet", str(broken), "+HEAD:refs/pull/7/merge")
    again = Runner(
        runner.workflow, repository, tmp_path / "again", runner.event, runner.context, runner.environment
    )
    again.folder.mkdir()
    ended = again.job("preview")
    assert [step.code for step in ended] == [0, 2]
    (step,) = again.job("comment")
    assert step.code == 0, step.err
    assert re.search(
        r"#### prod error\n\n```text\n(.*\n)*error: .*Pulumi\.prod\.yaml:2: ", github.comments[0]["body"]
    )
    said = [github.comments[0]["body"], ended[-1].out + ended[-1].err]
    said += [file.read_text() for file in (again.artifacts / "preview").iterdir()]
    assert sum("__main__.py:2: ValueError: tool --password (secret)" in text for text in said) == 3
    assert "canary" not in "".join(said)


FAKE_PULUMI = """#!/bin/sh
echo "asked: $*; backend ${PULUMI_BACKEND_URL-none}; kubeconfig $(cat "$KUBECONFIG")"
[ -z "${KUBECONFIG_CONTENT-}" ] || exit 9
exit "$PULUMI_CODE"
"""


@pytest.mark.parametrize("code", [0, 255])
def test_with_credentials_pulumi_previews_too(repository: Path, tmp_path: Path, code: int) -> None:
    """Pulumi's CLI is on no package registry: a program stands for it that says how it was called."""
    program = tmp_path / "bin/pulumi"
    program.parent.mkdir()
    program.write_text(FAKE_PULUMI)
    program.chmod(0o755)
    git(repository, "update-ref", "refs/pull/7/merge", git(repository, "rev-parse", "change"))
    made = Runner.read(
        PREVIEW,
        repository=repository,
        folder=tmp_path,
        event={"pull_request": {"number": 7}},
        context={
            "secrets.KUBECONFIG": "kube-secret",
            "secrets.PULUMI_ACCESS_TOKEN": "token-secret",
            "vars.PULUMI_BACKEND_URL": "",
            "secrets.PULUMI_CONFIG_PASSPHRASE": "",
            "vars.PULUMI_STACKS": "dev prod",
        },
        environment={"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "PULUMI_CODE": str(code)},
    )
    steps = made.workflow["jobs"]["pulumi"]["steps"]
    external = ("pulumi/actions", "aws-actions/configure-aws-credentials")
    made.workflow["jobs"]["pulumi"]["steps"] = [
        step for step in steps if not step.get("uses", "").startswith(external)
    ]
    ended = made.job("pulumi")[-1]
    assert (ended.name, ended.code) == ("pulumi preview", 2 if code else 0)
    for stack in ("dev", "prod"):
        said = (made.artifacts / f"preview-pulumi/pulumi preview of {stack}.txt").read_text()
        assert f"asked: preview --stack {stack} --non-interactive --policy-pack" in said
        assert "backend none; kubeconfig kube-secret" in said
        assert "token-secret" not in said


def jobs() -> dict[str, dict[str, Any]]:
    return yaml.safe_load(PREVIEW.read_text())["jobs"]


def test_a_fork_gets_neither_secrets_nor_a_token_that_writes() -> None:
    assert Runner.parse(PREVIEW)["on"].keys() == {"pull_request"}
    for name, job in jobs().items():
        uses_secrets = "secrets." in json.dumps(job)
        writes = any(right == "write" for right in job["permissions"].values())
        if uses_secrets or writes:
            assert SAME_REPOSITORY in job["if"], name
    assert not {"preview"} & {name for name, job in jobs().items() if "secrets." in json.dumps(job)}


def test_each_job_has_the_least_rights_and_only_one_may_comment() -> None:
    assert yaml.safe_load(PREVIEW.read_text())["permissions"] == {}
    rights = {name: job["permissions"] for name, job in jobs().items()}
    assert rights == {
        "preview": {"contents": "read"},
        "pulumi": {"contents": "read", "id-token": "write"},
        "comment": {"contents": "read", "pull-requests": "write"},
        "code-scanning": {"actions": "read", "contents": "read", "security-events": "write"},
    }


@pytest.mark.parametrize("file", sorted(WORKFLOWS.iterdir()), ids=lambda file: file.name)
def test_actions_are_pinned_by_commit_with_their_version(file: Path) -> None:
    uses = re.findall(r"uses: (.*)", file.read_text())
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("file", sorted(WORKFLOWS.iterdir()), ids=lambda file: file.name)
def test_no_expression_is_run_as_code(file: Path) -> None:
    for job in yaml.safe_load(file.read_text())["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")


def test_actionlint_finds_nothing() -> None:
    go = find_go(home(), silent)
    files = sorted(map(str, WORKFLOWS.iterdir()))
    done = subprocess.run(
        [go, "tool", "actionlint", "-no-color", *files],
        cwd=LINTER,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    for persona, target in (("regular", WORKFLOWS), ("auditor", PREVIEW)):
        done = subprocess.run(
            ["zizmor", "--offline", "--no-progress", f"--persona={persona}", str(target)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
