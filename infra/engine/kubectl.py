"""The cluster, spoken to through kubectl: it knows every way to log in that a kubeconfig can name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.engine.process import Result, run
from infra.errors import PlatformError

MANAGER: Final = "mcpctl"
"""The field manager of what is applied directly; what Helm applies is managed by `helm`."""

Key = tuple[str, str, str, str]
"""API group, kind, namespace, name: an object whichever version of its API it is written in."""

_UNREACHABLE: Final = re.compile(
    r"connection refused|connection to the server .* was refused|no route to host|i/o timeout"
    r"|Unable to connect to the server|EOF$|no such host"
)
_NO_CONTEXT: Final = re.compile(
    r"context .* does not exist|no context exists|couldn't get current server API"
)
_NO_KIND: Final = re.compile(r'no matches for kind "(\w+)" in version "([^"]+)"')
_NO_KIND_ADVICE: Final = "ensure CRDs are installed first"


def key_of(body: Mapping[str, Any]) -> Key:
    """The identity of an object."""
    group = str(body["apiVersion"]).rpartition("/")[0]
    metadata = body["metadata"]
    return group, body["kind"], metadata.get("namespace", ""), metadata["name"]


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl for one context.

    Attributes:
        binary: The program.
        context: A context of the kubeconfig.
        kubeconfig: The file, or None for the user's own.
    """

    binary: Path
    context: str
    kubeconfig: Path | None = None

    @property
    def command(self) -> list[str]:
        """The program and the options that point it at the cluster."""
        config = ["--kubeconfig", str(self.kubeconfig)] if self.kubeconfig else []
        return [str(self.binary), *config, "--context", self.context]

    def run(self, *arguments: str, stdin: str = "", timeout: float = 120) -> Result:
        """Run kubectl whatever comes of it.

        Raises:
            PlatformError: The cluster is not reached.
        """
        result = run([*self.command, *arguments], stdin=stdin, timeout=timeout)
        if result.code and _NO_CONTEXT.search(result.err):
            raise PlatformError(
                f"the kubeconfig has no context {self.context!r}", hint="`kubectl config get-contexts`"
            )
        if result.code and _UNREACHABLE.search(result.err.strip()):
            raise PlatformError(
                f"the cluster of context {self.context!r} is not reached: {last_line(result.err)}",
                hint="`mcpctl cluster status` for the embedded one, `kubectl cluster-info` for another",
            )
        return result

    def must(self, *arguments: str, stdin: str = "", timeout: float = 120) -> str:
        """Run kubectl and return what it prints.

        Raises:
            PlatformError: It failed.
        """
        result = self.run(*arguments, stdin=stdin, timeout=timeout)
        if result.code:
            raise PlatformError(f"kubectl {arguments[0]}: {last_line(result.err)}")
        return result.out

    def list(self, kind: str, namespace: str, *arguments: str) -> list[dict[str, Any]]:
        """The objects of one or more kinds (`pods,events`) in a namespace."""
        out = self.must("get", kind, "--namespace", namespace, "--output", "json", *arguments)
        return json.loads(out)["items"]

    def list_all(self, kind: str) -> list[dict[str, Any]]:
        """The objects of one or more kinds in all namespaces."""
        return json.loads(self.must("get", kind, "--all-namespaces", "--output", "json"))["items"]

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """One object, or None if there is none."""
        out = self.must("get", kind, name, "--namespace", namespace, "--ignore-not-found", "--output", "json")
        return json.loads(out) if out else None

    def live(self, bodies: Iterable[Mapping[str, Any]]) -> dict[Key, dict[str, Any]]:
        """Those of the given objects that exist, as they are now."""
        text = _stream(bodies)
        if not text:
            return {}
        result = self.run("get", "--filename", "-", "--ignore-not-found", "--output", "json", stdin=text)
        wrong = [line for line in result.err.splitlines() if not _is_of_no_kind(line)]
        if result.code and not result.out and wrong:
            raise PlatformError(f"kubectl get: {last_line(result.err)}")
        return {key_of(item): item for item in _items(result.out)}

    def apply(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        """Create or update objects by server-side apply.

        Raises:
            PlatformError: The server refuses one.
        """
        if bodies:
            self.must(
                "apply",
                "--server-side",
                "--force-conflicts",
                f"--field-manager={MANAGER}",
                "--filename",
                "-",
                stdin=_stream(bodies),
            )

    def dry_apply(
        self, bodies: Sequence[Mapping[str, Any]], *, manager: str
    ) -> tuple[dict[Key, dict[str, Any]], list[str]]:
        """What the server would make of each object, and its reasons for those that it refuses."""
        if not bodies:
            return {}, []
        result = self.run(
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            f"--field-manager={manager}",
            "--output",
            "json",
            "--filename",
            "-",
            stdin=_stream(bodies),
        )
        return {key_of(item): item for item in _items(result.out)}, _reasons(
            result.err
        ) if result.code else []


def last_line(text: str) -> str:
    """The last line of what a program said; kubectl and Helm put the cause there."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return re.sub(r"^(?:error|Error): ", "", lines[-1].strip()) if lines else "no message"


def _is_of_no_kind(line: str) -> bool:
    """Whether kubectl says that the cluster has no such kind of objects, and so none of them."""
    return bool(_NO_KIND.search(line)) or line == _NO_KIND_ADVICE


def _reasons(text: str) -> list[str]:
    """Each reason once that kubectl gives for a refusal."""
    found: dict[str, None] = {}
    for line in text.splitlines():
        if match := _NO_KIND.search(line):
            found[
                f"the cluster has no kind {match[1]} of {match[2]}; what brings it must be installed first"
            ] = None
        elif line and line != _NO_KIND_ADVICE and not line.startswith("Warning:"):
            found[line] = None
    return list(found)


def _stream(bodies: Iterable[Mapping[str, Any]]) -> str:
    """Objects as kubectl reads several: JSON documents one after the other."""
    return "\n".join(json.dumps(body) for body in bodies)


def _items(text: str) -> list[dict[str, Any]]:
    """Decode what kubectl prints: nothing, one object, a List, or several documents."""
    found: list[dict[str, Any]] = []
    decoder = json.JSONDecoder()
    rest = text.strip()
    while rest:
        body, end = decoder.raw_decode(rest)
        found.extend(body["items"] if body["kind"] == "List" else [body])
        rest = rest[end:].strip()
    return found
