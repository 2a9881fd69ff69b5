"""Replicas that follow the load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.autoscaling import v2
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.labels import Component, labels
from infra.naming import Stack
from infra.settings import workloads as settings

_CALM_SECONDS: Final = 300
"""How long load must be low before a replica goes: longer than the pauses of a conversation with tools."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoscalingArgs:
    """How one Deployment is scaled; the Deployment has the component's name.

    Attributes:
        stack: The stack.
        component: What part the service plays.
        scaling: Range and targets.
    """

    stack: Stack
    component: Component
    scaling: settings.Autoscaling


def build_spec(name: str, scaling: settings.Autoscaling) -> v2.HorizontalPodAutoscalerSpecArgs:
    """Double at once when load comes; give back a quarter a minute when it has been gone for a while."""
    return v2.HorizontalPodAutoscalerSpecArgs(
        scale_target_ref=v2.CrossVersionObjectReferenceArgs(
            api_version="apps/v1", kind="Deployment", name=name
        ),
        min_replicas=scaling.min,
        max_replicas=scaling.max,
        metrics=[_utilization("cpu", scaling.cpu), _utilization("memory", scaling.memory)],
        behavior=v2.HorizontalPodAutoscalerBehaviorArgs(
            scale_up=v2.HPAScalingRulesArgs(
                stabilization_window_seconds=0,
                select_policy="Max",
                policies=[
                    v2.HPAScalingPolicyArgs(type="Percent", value=100, period_seconds=30),
                    v2.HPAScalingPolicyArgs(type="Pods", value=2, period_seconds=30),
                ],
            ),
            scale_down=v2.HPAScalingRulesArgs(
                stabilization_window_seconds=_CALM_SECONDS,
                select_policy="Max",
                policies=[
                    v2.HPAScalingPolicyArgs(type="Percent", value=25, period_seconds=60),
                    v2.HPAScalingPolicyArgs(type="Pods", value=1, period_seconds=60),
                ],
            ),
        ),
    )


class Autoscaling(pulumi.ComponentResource):
    """A HorizontalPodAutoscaler. Its Deployment must leave out `replicas`, or each deployment resets them."""

    def __init__(self, name: str, args: AutoscalingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:service:Autoscaling", name, None, opts)
        v2.HorizontalPodAutoscaler(
            name,
            metadata=ObjectMetaArgs(
                name=name, namespace=args.stack.namespace, labels=labels(args.stack, name, args.component)
            ),
            spec=build_spec(name, args.scaling),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def _utilization(resource: str, percent: int) -> v2.MetricSpecArgs:
    target = v2.MetricTargetArgs(type="Utilization", average_utilization=percent)
    return v2.MetricSpecArgs(
        type="Resource", resource=v2.ResourceMetricSourceArgs(name=resource, target=target)
    )
