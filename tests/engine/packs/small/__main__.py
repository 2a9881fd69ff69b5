"""A pack with one policy of each kind."""

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)


def replicas(args: ResourceValidationArgs, report: ReportViolation) -> None:
    """Deployments have three replicas."""
    if args.resource_type == "kubernetes:apps/v1:Deployment" and args.props["spec"]["replicas"] < 3:
        report(
            f"spec.replicas is {args.props['spec']['replicas']:.0f}, provider {args.provider is not None}",
            None,
        )


def secret(args: ResourceValidationArgs, report: ReportViolation) -> None:
    """Show what a pack gets to see of a secret."""
    if args.resource_type == "kubernetes:core/v1:Secret":
        report(
            ",".join(f"{key}={args.props['stringData'][key]}" for key in sorted(args.props["stringData"])),
            None,
        )


def parents(args: StackValidationArgs, report: ReportViolation) -> None:
    """Show that the stack's shape arrives."""
    for resource in args.resources:
        if resource.parent and resource.dependencies:
            report(
                f"{resource.parent.name} > {resource.name} > {resource.dependencies[0].name}", resource.urn
            )


PolicyPack(
    "small",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        ResourceValidationPolicy("replicas", "Three replicas.", replicas, severity=Severity.HIGH),
        ResourceValidationPolicy("secret", "Secrets.", secret, enforcement_level=EnforcementLevel.ADVISORY),
        StackValidationPolicy("parents", "Parents.", parents, enforcement_level=EnforcementLevel.ADVISORY),
    ],
)
