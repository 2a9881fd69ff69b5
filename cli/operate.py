"""`mcpctl logs` and `scale`."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Annotated

import typer

from cli.console import out
from cli.deployed import Deployed
from cli.docker_stack import DockerStack
from infra.engine.database import INSTANCES, as_selector, takes
from infra.engine.kubectl import Kubectl
from infra.errors import PlatformError
from infra.naming import POSTGRES

Stack = Annotated[str, typer.Option("--stack", "-s", help="Which stack.")]
Service = Annotated[str, typer.Argument(help="gateway, a server's name, redis or postgres.")]

NAME_LABEL = "app.kubernetes.io/name"
MOST_REPLICAS = 100
REQUESTS_AT_ONCE = 50


def logs(
    service: Service,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    tail: Annotated[int, typer.Option("--tail", min=-1, help="Lines of each container; -1 for all.")] = 50,
    previous: Annotated[
        bool, typer.Option("--previous", help="Of the containers before their last restart.")
    ] = False,
    stack: Stack = "dev",
) -> None:
    """Show the logs of every pod of a service."""
    if docker := DockerStack.of(stack):
        docker.logs(service, follow=follow, tail=tail, previous=previous)
        return
    deployed = Deployed.of(stack)
    known = services_with_pods(deployed.kubectl, deployed.target.namespaces)
    if service not in known:  # kubectl would print nothing at all
        raise PlatformError(
            f"stack {stack} has no pods of a service {service!r}",
            hint=f"it has: {', '.join(sorted(known)) or 'none'}",
        )
    namespace, selector = known[service]
    arguments = ["logs", "--namespace", namespace, "--selector", selector, "--prefix"]
    arguments += ["--all-containers", f"--tail={tail}", f"--max-log-requests={REQUESTS_AT_ONCE}"]
    arguments += ["--follow"] * follow + ["--previous"] * previous
    # Straight to the terminal: following has no end, and nothing is to be read from it.
    code = subprocess.run([*deployed.kubectl.command, *arguments], check=False).returncode
    if code:
        raise PlatformError(f"kubectl logs ended with {code}; its message is above")


def scale(
    service: Service,
    replicas: Annotated[int, typer.Argument(min=0, max=MOST_REPLICAS)],
    stack: Stack = "dev",
) -> None:
    """Set a service's number of replicas until the next `mcpctl up`."""
    deployed = Deployed.of(stack)
    kubectl, namespace = deployed.kubectl, deployed.namespace
    if kubectl.get("deployment", namespace, service) is None:
        names = [item["metadata"]["name"] for item in kubectl.list("deployments", namespace)]
        raise PlatformError(
            f"stack {stack} has no scalable service {service!r}", hint=f"it has: {', '.join(names) or 'none'}"
        )
    if kubectl.get("horizontalpodautoscaler", namespace, service) is not None:
        raise PlatformError(
            f"{service} follows its load by an autoscaler, which would undo this",
            hint=f"change autoscaling.min and max in Pulumi.{stack}.yaml and run mcpctl up",
        )
    kubectl.must("scale", "deployment", service, "--namespace", namespace, f"--replicas={replicas}")
    kubectl.must(
        "rollout", "status", "deployment", service, "--namespace", namespace, "--timeout=180s", timeout=200
    )
    out.print(
        f"{service} has {replicas} replicas; Pulumi.{stack}.yaml keeps its number, which the next up restores"
    )


def services_with_pods(kubectl: Kubectl, namespaces: Sequence[str]) -> dict[str, tuple[str, str]]:
    """By a service's name, where its pods are and the selector that takes them.

    The pods of a replicated Postgres have their operator's name; they are found by ours, too.
    """
    found: dict[str, tuple[str, str]] = {}
    for namespace in reversed(namespaces):
        for pod in kubectl.list("pods", namespace):
            labels: dict[str, str] = pod["metadata"].get("labels", {})
            if name := labels.get(NAME_LABEL, ""):
                found[name] = namespace, f"{NAME_LABEL}={name}"
            if takes(labels, INSTANCES):
                found[POSTGRES] = namespace, as_selector(INSTANCES)
    return found
