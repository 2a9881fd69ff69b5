"""Real git repositories with a small Pulumi program of two revisions."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

AUTHOR = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}

PROGRAM = """
import pulumi
import pulumi_kubernetes as k8s

config = pulumi.Config()
cluster = k8s.Provider("cluster", context="c", namespace="ns")
options = pulumi.ResourceOptions(provider=cluster)
k8s.apps.v1.StatefulSet(
    "db",
    metadata=k8s.meta.v1.ObjectMetaArgs(name="db"),
    spec=k8s.apps.v1.StatefulSetSpecArgs(
        service_name="db",
        replicas=config.require_int("replicas"),
        selector=k8s.meta.v1.LabelSelectorArgs(match_labels={"app": "db"}),
        template=k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(labels={"app": "db"}),
            spec=k8s.core.v1.PodSpecArgs(containers=[k8s.core.v1.ContainerArgs(name="db", image="db:1")]),
        ),
    ),
    opts=options,
)
"""


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", folder, *words],
        env={**os.environ, **AUTHOR},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def commit(folder: Path, message: str = "change") -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def make(folder: Path, program: str = PROGRAM, config: str = "{replicas: 1}") -> Path:
    """A repository on branch main with one commit."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    write(folder, program, config)
    commit(folder, "first")
    return folder


def write(folder: Path, program: str = PROGRAM, config: str = "{replicas: 1}") -> None:
    (folder / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n")
    (folder / "Pulumi.test.yaml").write_text(f"config: {config}\n")
    (folder / "__main__.py").write_text(program)
