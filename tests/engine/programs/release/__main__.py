"""A stack that needs no image but the one that every cluster has; its configuration says what is in it."""

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random as random

from infra.labels import labels
from infra.naming import POSTGRES, Stack, logging_namespace, namespace

config = pulumi.Config()
place = namespace(pulumi.get_stack())
image = config.get("image") or "localhost/mcp-platform/pause:1"
provider = k8s.Provider("cluster", context=config.require("context"))
options = pulumi.ResourceOptions(provider=provider)


def named(name: str, where: str = place) -> k8s.meta.v1.ObjectMetaArgs:
    """Return the metadata of an object in the stack's namespace, or another."""
    return k8s.meta.v1.ObjectMetaArgs(name=name, namespace=where)


def pod(
    name: str, volumes: list[k8s.core.v1.VolumeArgs] | None = None, *, mounted: bool = False
) -> k8s.core.v1.PodTemplateSpecArgs:
    """Return a pod that does nothing."""
    mounts = [k8s.core.v1.VolumeMountArgs(name="data", mount_path="/data")] if mounted else None
    container = k8s.core.v1.ContainerArgs(
        name="main", image=image, image_pull_policy="Never", volume_mounts=mounts
    )
    return k8s.core.v1.PodTemplateSpecArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(labels={"app": name}, annotations={"braces": "{{ .x }}"}),
        spec=k8s.core.v1.PodSpecArgs(
            containers=[container], volumes=volumes, termination_grace_period_seconds=1
        ),
    )


def selector(name: str) -> k8s.meta.v1.LabelSelectorArgs:
    """Return the selector of a workload's pods."""
    return k8s.meta.v1.LabelSelectorArgs(match_labels={"app": name})


claim = k8s.core.v1.PersistentVolumeClaimSpecArgs(
    access_modes=["ReadWriteOnce"],
    resources=k8s.core.v1.VolumeResourceRequirementsArgs(requests={"storage": "1Mi"}),
)

k8s.core.v1.Namespace("namespace", metadata=k8s.meta.v1.ObjectMetaArgs(name=place), opts=options)
password = random.RandomPassword("auth", length=20)
k8s.core.v1.Secret("auth", metadata=named("auth"), string_data={"password": password.result}, opts=options)
k8s.core.v1.ConfigMap(
    "text", metadata=named("text"), data={"text": config.get("text") or "one"}, opts=options
)
k8s.apps.v1.Deployment(
    "app",
    metadata=named("app"),
    spec=k8s.apps.v1.DeploymentSpecArgs(
        replicas=config.get_int("replicas") or 1, selector=selector("app"), template=pod("app")
    ),
    opts=options,
)
if config.get_bool("extra"):
    k8s.core.v1.ConfigMap("extra", metadata=named("extra"), data={"a": "b"}, opts=options)
if config.get_bool("token"):
    k8s.core.v1.Secret("token", metadata=named("token"), string_data={"token": "t"}, opts=options)
if config.get_bool("claim"):
    k8s.core.v1.PersistentVolumeClaim("claim", metadata=named("claim"), spec=claim, opts=options)
    source = k8s.core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name="claim")
    volume = k8s.core.v1.VolumeArgs(name="data", persistent_volume_claim=source)
    k8s.apps.v1.Deployment(
        "user",
        metadata=named("user"),
        spec=k8s.apps.v1.DeploymentSpecArgs(
            replicas=1, selector=selector("user"), template=pod("user", [volume], mounted=True)
        ),
        opts=options,
    )
if config.get_bool("store"):
    template = k8s.core.v1.PersistentVolumeClaimArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(name="data"), spec=claim
    )
    k8s.apps.v1.StatefulSet(
        "store",
        metadata=k8s.meta.v1.ObjectMetaArgs(
            name="store", namespace=place, annotations={"helm.sh/resource-policy": "keep"}
        ),
        spec=k8s.apps.v1.StatefulSetSpecArgs(
            service_name=config.get("service") or "store",
            selector=selector("store"),
            template=pod("store", mounted=True),
            volume_claim_templates=[template],
        ),
        opts=options,
    )
if config.get_bool("logs"):
    beside = logging_namespace(pulumi.get_stack())
    of_stack = labels(Stack(pulumi.get_stack(), production=False), "reader", "telemetry")
    k8s.core.v1.Namespace(
        "beside", metadata=k8s.meta.v1.ObjectMetaArgs(name=beside, labels=of_stack), opts=options
    )
    k8s.apps.v1.DaemonSet(
        "reader",
        metadata=named("reader", beside),
        spec=k8s.apps.v1.DaemonSetSpecArgs(selector=selector("reader"), template=pod("reader")),
        opts=options,
    )
if config.get_bool("guard"):
    for policy, annotations in (("guard", {"helm.sh/resource-policy": "keep"}), ("flow", None)):
        k8s.networking.v1.NetworkPolicy(
            policy,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=policy, namespace=place, annotations=annotations),
            spec=k8s.networking.v1.NetworkPolicySpecArgs(pod_selector=k8s.meta.v1.LabelSelectorArgs()),
            opts=options,
        )
if config.get_bool("database"):
    k8s.apiextensions.CustomResource(
        "database",
        api_version="postgresql.cnpg.io/v1",
        kind="Cluster",
        metadata=k8s.meta.v1.ObjectMetaArgs(
            name=POSTGRES, namespace=place, annotations={"helm.sh/resource-policy": "keep"}
        ),
        spec={"instances": 2, "storage": {"size": "1Gi"}},
        opts=options,
    )
