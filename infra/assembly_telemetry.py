"""What collects a stack's traces and logs, where its settings ask for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pulumi

from infra.components.collector_pods import IMAGE
from infra.components.log_collector import Logging, LoggingArgs
from infra.components.tracing import Tracing, TracingArgs, trace_flows
from infra.flows import Flow
from infra.naming import COLLECTOR, LOG_COLLECTOR, Stack
from infra.settings import Settings

BuildImage = Callable[[str], pulumi.Input[str]]
"""Makes the image of a folder below infra/images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TelemetrySide:
    """What the rest of the stack must know of it.

    Attributes:
        flows: What is connected in the stack's namespace.
        logging: The collectors of logs, if there are any.
    """

    flows: Sequence[Flow] = ()
    logging: Logging | None = None


def is_collector_built(settings: Settings) -> bool:
    """Whether a collector runs in the image that is built here."""
    collector = settings.tracing.collector if settings.tracing else None
    return any(it is not None and it.image is None for it in (collector, settings.logging))


def assemble_telemetry(
    stack: Stack,
    settings: Settings,
    build: BuildImage,
    provider: pulumi.ProviderResource,
    inside: pulumi.ResourceOptions,
) -> TelemetrySide:
    """Declare the collectors.

    Args:
        stack: The stack.
        settings: All of its settings.
        build: Makes an image.
        provider: Of the cluster, for what is in a namespace of its own.
        inside: For what is in the stack's namespace.
    """
    built = build(IMAGE) if is_collector_built(settings) else ""
    logging = None
    if settings.logging is not None:
        image = settings.logging.image or built
        of_account = stack.secrets is not None and stack.secrets.of_account
        of_logs = LoggingArgs(
            stack=stack,
            settings=settings.logging,
            network=settings.network,
            image=image,
            region=settings.aws.region if settings.aws and of_account else None,
        )
        logging = Logging(LOG_COLLECTOR, of_logs, pulumi.ResourceOptions(providers=[provider]))
    collector = settings.tracing.collector if settings.tracing else None
    if collector is None:
        return TelemetrySide(logging=logging)
    of_traces = TracingArgs(stack=stack, settings=collector, image=collector.image or built)
    Tracing(COLLECTOR, of_traces, inside)
    return TelemetrySide(flows=trace_flows(settings.network, collector), logging=logging)
