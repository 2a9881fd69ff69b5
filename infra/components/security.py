"""Security contexts that pass Pod Security "restricted", and more: read-only root, a high user id. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pulumi_kubernetes.core import v1

from services.kit.conventions import RUN_AS_USER


def pod_security_context(groups: Sequence[int] = ()) -> v1.PodSecurityContextArgs:
    """For the whole pod. Volumes get the group, and only once: a big volume must not delay every start.

    Args:
        groups: Beside the processes' own.
    """
    return v1.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=RUN_AS_USER,
        run_as_group=RUN_AS_USER,
        fs_group=RUN_AS_USER,
        supplemental_groups=list(groups) or None,
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security_context() -> v1.SecurityContextArgs:
    """For every container."""
    return v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        privileged=False,
        read_only_root_filesystem=True,
        run_as_non_root=True,
        capabilities=v1.CapabilitiesArgs(drop=["ALL"]),
        seccomp_profile=v1.SeccompProfileArgs(type="RuntimeDefault"),
    )
