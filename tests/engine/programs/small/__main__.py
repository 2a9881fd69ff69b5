"""A program with every kind of resource that the direct engine knows."""

import pulumi
import pulumi_docker_build as docker_build
import pulumi_kubernetes as k8s
import pulumi_random as random
import pulumi_tls as tls

config = pulumi.Config()
namespace = f"mcp-{pulumi.get_stack()}"
provider = k8s.Provider("cluster", context="mcp-default")


class Service(pulumi.ComponentResource):
    """A component with a deployment in it."""

    def __init__(self, name: str, *, image: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        super().__init__("mcp:service:Service", name, None, opts)
        labels = {"app": name, **config.require_object("labels")}
        self.deployment = k8s.apps.v1.Deployment(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=config.require_int("replicas"),
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels={"app": name}),
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(labels=labels, annotations={"text": "{{ braces }}"}),
                    spec=k8s.core.v1.PodSpecArgs(
                        containers=[k8s.core.v1.ContainerArgs(name=name, image=image)]
                    ),
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"deployment": self.deployment.metadata.name})


options = pulumi.ResourceOptions(provider=provider)
image = docker_build.Image("app", tags=["localhost/small/app:0123"], push=False)
password = random.RandomPassword("db", length=24, special=False)
key = tls.PrivateKey("issuer", algorithm="ECDSA", ecdsa_curve="P256")
k8s.core.v1.Secret(
    "db",
    metadata=k8s.meta.v1.ObjectMetaArgs(name="db", namespace=namespace),
    string_data={"password": password.result, "user": "app"},
    opts=options,
)
k8s.core.v1.ConfigMap(
    "issuer",
    metadata=k8s.meta.v1.ObjectMetaArgs(name="issuer", namespace=namespace),
    data={"public.pem": key.public_key_pem},
    opts=options,
)
k8s.core.v1.PersistentVolumeClaim(
    "data",
    metadata=k8s.meta.v1.ObjectMetaArgs(name="data", namespace=namespace),
    spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(access_modes=["ReadWriteOnce"]),
    opts=pulumi.ResourceOptions(provider=provider, protect=True, aliases=[pulumi.Alias(name="old")]),
)
app = Service("app", image=image.ref, opts=pulumi.ResourceOptions(providers=[provider]))
pulumi.export("replicas", config.require_int("replicas"))
pulumi.export("password", password.result)
pulumi.export("status", app.deployment.status)
