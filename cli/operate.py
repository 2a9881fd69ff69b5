"""`mcpctl logs` and `scale`."""

from __future__ import annotations

import subprocess
from typing import Annotated

import typer

from cli.console import out
from cli.deployed import Deployed
from cli.docker_stack import DockerStack
from infra.errors import PlatformError

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
    namespace = _namespace_of(deployed, service)
    arguments = ["logs", "--namespace", namespace, "--selector", f"{NAME_LABEL}={service}", "--prefix"]
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


def _namespace_of(deployed: Deployed, service: str) -> str:
    """Where the service's pods are. A name that no pod has is refused: kubectl would print nothing at all."""
    found: dict[str, str] = {}
    for namespace in reversed(deployed.target.namespaces):
        for pod in deployed.kubectl.list("pods", namespace):
            found[pod["metadata"].get("labels", {}).get(NAME_LABEL, "")] = namespace
    if service not in found:
        raise PlatformError(
            f"stack {deployed.stack} has no pods of a service {service!r}",
            hint=f"it has: {', '.join(sorted(found.keys() - {''})) or 'none'}",
        )
    return found[service]
