"""Evaluate a stack's program without Pulumi's engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from infra.engine import wire
from infra.engine.graph import Graph, Resource, ordered
from infra.engine.project import Project, load
from infra.engine.stack_file import with_places
from infra.errors import PlatformError

REPOSITORY: Final = Path(__file__).resolve().parents[2]
TIMEOUT: Final = 120.0


def record(
    stack: str,
    *,
    project: Path = REPOSITORY,
    dry_run: bool = True,
    generated: Mapping[str, Mapping[str, Any]] | None = None,
    timeout: float = TIMEOUT,
    code: Path = REPOSITORY,
) -> Graph:
    """Run the program of a stack in a child process and return what it registered.

    Args:
        stack: The stack's name; its configuration is `Pulumi.<stack>.yaml`.
        project: The folder of `Pulumi.yaml`.
        dry_run: Whether what only a deployment can tell is unknown (a preview) or missing.
        generated: Outputs of `random` and `tls` resources that were made before, by URN.
        timeout: Seconds that the program may take.
        code: Where the child finds this package and the program its own; another revision has its own.

    Raises:
        PlatformError: The configuration is wrong, or the program failed or took too long.
    """
    settings = load(project.resolve(), stack)
    answer = _ask(_request(settings, dry_run, generated or {}), timeout, code)
    if "error" in answer:
        message, place = answer["error"], f"stack {stack}: "
        # What is wrong with the settings is one line each, which names the stack itself.
        if message.startswith(place):
            message = with_places(message, settings)
        raise PlatformError(message if message.startswith(place) else place + message, hint=answer["hint"])
    return Graph(
        project=settings.name,
        stack=stack,
        resources=ordered(_resource(item) for item in answer["resources"]),
        outputs=wire.from_wire(answer["outputs"]),
    )


def _request(settings: Project, dry_run: bool, generated: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "project": settings.name,
        "stack": settings.stack,
        "root": str(settings.root),
        "program": str(settings.program.resolve()),
        "config": settings.config,
        "dry_run": dry_run,
        "generated": generated,
    }


def child_environment(code: Path = REPOSITORY) -> dict[str, str]:
    """The environment of a child that runs the project's code: it finds `code`, and no Pulumi settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    inherited = os.environ.get("PYTHONPATH")
    kept["PYTHONPATH"] = f"{code}{os.pathsep}{inherited}" if inherited else str(code)
    return kept


def _ask(request: Mapping[str, Any], timeout: float, code: Path) -> dict[str, Any]:
    """Run the child: request on its standard input, answer from a pipe of its own."""
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as pipe:
        try:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "infra.engine.evaluate", str(writing)],
                stdin=subprocess.PIPE,
                stdout=sys.stderr.fileno(),  # what a program prints must not mix with our results
                pass_fds=[writing],
                process_group=0,  # Ctrl-C is ours to answer
                env=child_environment(code),
            )
        finally:
            os.close(writing)
        assert child.stdin is not None  # noqa: S101 - PIPE above
        expired = threading.Event()
        timer = threading.Timer(timeout, lambda: (expired.set(), child.kill()))
        try:
            timer.start()
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            answer = pipe.read()
        except BrokenPipeError:
            answer = ""
        except KeyboardInterrupt:
            child.kill()
            raise
        finally:
            timer.cancel()
            child.stdin.close()  # the lifeline: whatever the child still does, it ends now
            child.wait()
    if expired.is_set():
        raise PlatformError(f"stack {request['stack']}: the program did not finish within {timeout:.0f} s")
    if not answer:
        raise PlatformError(
            f"stack {request['stack']}: the program's process ended early, with code {child.returncode}"
        )
    return json.loads(answer)


def _resource(item: Mapping[str, Any]) -> Resource:
    return Resource(
        type=item["type"],
        name=item["name"],
        urn=item["urn"],
        inputs=wire.from_wire(item["inputs"]),
        outputs=wire.from_wire(item["outputs"]),
        custom=item["custom"],
        parent=item["parent"],
        dependencies=tuple(item["dependencies"]),
        property_dependencies={key: tuple(urns) for key, urns in item["property_dependencies"].items()},
        provider=item["provider"],
        options=item["options"],
        source=item.get("source", ""),  # revisions before it was recorded answer without
    )
