"""Backups: jobs on a schedule that copy to S3, jobs that restore when somebody says so, and drills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import (
    CronJob,
    CronJobSpecArgs,
    JobSpecArgs,
    JobTemplateSpecArgs,
    PodFailurePolicyArgs,
    PodFailurePolicyOnExitCodesRequirementArgs,
    PodFailurePolicyOnPodConditionsPatternArgs,
    PodFailurePolicyRuleArgs,
)
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs

from infra.components import backup_pods as pods
from infra.components.backup_configuration import Configuration
from infra.components.backup_pods import BackupArgs
from infra.components.identity import Identity, IdentityArgs
from infra.components.pods import Container, Pod, build_pod
from infra.labels import labels
from infra.naming import (
    BACKUP,
    BACKUP_CONFIGURATION,
    BACKUP_POSTGRES,
    BACKUP_REDIS,
    BACKUPS_OF,
    RESTORE_CONFIGURATION,
    RESTORE_DRILL,
    RESTORE_POSTGRES,
    RESTORE_REDIS,
    Stack,
)
from infra.settings.backup import Schedule

WRONG: Final = 2
"""The program's exit code for what it is told being wrong; it would be so again."""
REFUSED: Final = 3
"""The program's exit code for a backup that isn't whole, or isn't what was backed up."""
GRACE_SECONDS: Final = 60
"""To abort an upload, or to roll back."""
RESTORE_SECONDS: Final = 86_400

_NEVER: Final = "0 0 1 1 *"
"""Kubernetes wants a schedule even of what is suspended."""
_RETRIES: Final = 2
_RUNS_KEPT: Final = 3
_KEPT_SECONDS: Final = 7 * 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One CronJob.

    Attributes:
        name: Its name.
        when: Its schedule; None where only somebody starts it.
        containers: The last does the work; those before prepare it.
    """

    name: str
    when: Schedule | None
    containers: Sequence[Container]


def plan(args: BackupArgs) -> list[Planned]:
    """Every CronJob of the stack."""
    wanted, redis = args.settings, args.redis
    found: list[Planned] = []

    def add(name: str, when: Schedule | None, containers: Sequence[Container]) -> None:
        found.append(Planned(name=name, when=when, containers=containers))

    if wanted.postgres:
        dump = pods.dump_postgres(args, wanted.postgres.deadline_seconds)
        add(BACKUP_POSTGRES, wanted.postgres, dump)
        add(RESTORE_POSTGRES, None, pods.restore_postgres(args))
    if wanted.redis and redis:
        add(BACKUP_REDIS, wanted.redis, pods.copy_redis(args, redis))
        add(RESTORE_REDIS, None, pods.restore_redis(args, redis))
    if wanted.configuration:
        add(BACKUP_CONFIGURATION, wanted.configuration, pods.read_configuration(args))
        add(RESTORE_CONFIGURATION, None, pods.show_configuration(args))
    parts = [it.name.removeprefix(f"{BACKUP}-") for it in found if it.name in BACKUPS_OF]
    if wanted.drill:
        add(RESTORE_DRILL, wanted.drill, pods.drill(args, parts))
    return found


def build_cron_job(args: BackupArgs, planned: Planned) -> CronJobSpecArgs:
    """A job that never runs beside itself, ends in time, and isn't tried again where that can't help."""
    when = planned.when
    *init, work = planned.containers
    pod = Pod(
        stack=args.stack,
        name=planned.name,
        component="backup",
        containers=[work],
        init=init,
        service_account=planned.name,
        grace_seconds=GRACE_SECONDS,
        ends=True,
    )
    job = JobSpecArgs(
        active_deadline_seconds=when.deadline_seconds if when else RESTORE_SECONDS,
        backoff_limit=_RETRIES if when else 0,
        ttl_seconds_after_finished=_KEPT_SECONDS,
        pod_failure_policy=build_failure_policy(),
        template=build_pod(pod),
    )
    return CronJobSpecArgs(
        schedule=when.schedule if when else _NEVER,
        time_zone=args.settings.time_zone,
        suspend=when is None,
        concurrency_policy="Forbid",
        starting_deadline_seconds=args.settings.starting_deadline_seconds,
        successful_jobs_history_limit=_RUNS_KEPT,
        failed_jobs_history_limit=_RUNS_KEPT,
        job_template=JobTemplateSpecArgs(
            metadata=ObjectMetaArgs(labels=labels(args.stack, planned.name, "backup")), spec=job
        ),
    )


def build_failure_policy() -> PodFailurePolicyArgs:
    """A pod that had to leave its node doesn't count; what would fail again isn't tried again."""
    evicted = PodFailurePolicyOnPodConditionsPatternArgs(type="DisruptionTarget", status="True")
    hopeless = PodFailurePolicyOnExitCodesRequirementArgs(operator="In", values=[WRONG, REFUSED])
    return PodFailurePolicyArgs(
        rules=[
            PodFailurePolicyRuleArgs(action="Ignore", on_pod_conditions=[evicted]),
            PodFailurePolicyRuleArgs(action="FailJob", on_exit_codes=hopeless),
        ]
    )


def reading_rules(found: Configuration) -> list[PolicyRuleArgs]:
    """What the configuration's backup reads."""
    return [
        PolicyRuleArgs(api_groups=[version.rpartition("/")[0]], resources=list(resources), verbs=["list"])
        for version, resources in found.items()
    ]


class Backup(pulumi.ComponentResource):
    """The CronJobs, each with an account of its own."""

    def __init__(self, name: str, args: BackupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:backup:Backup", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        if args.postgres.ca:
            v1.ConfigMap(
                BACKUP,
                metadata=_metadata(args.stack, BACKUP),
                data={pods.CA_FILE: args.postgres.ca},
                opts=child,
            )
        planned = plan(args)
        for it in planned:
            identity = IdentityArgs(
                stack=args.stack,
                component="backup",
                rules=reading_rules(args.configuration) if it.name == BACKUP_CONFIGURATION else (),
                annotations=args.place.annotations.get(it.name, {}),
            )
            Identity(it.name, identity, opts=child)
            CronJob(
                it.name, metadata=_metadata(args.stack, it.name), spec=build_cron_job(args, it), opts=child
            )
        self.register_outputs({"jobs": [it.name for it in planned]})


def _metadata(stack: Stack, name: str) -> ObjectMetaArgs:
    return ObjectMetaArgs(name=name, namespace=stack.namespace, labels=labels(stack, name, "backup"))
