# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Jobs end, are not tried for ever, and leave nothing behind."""

from __future__ import annotations

from typing import Final

from policies.family import Family
from policies.node import Node
from policies.objects import KubernetesObject
from policies.rule import Enforcement, Findings, Options, Severity, forbid, require

FAMILY: Final = Family("jobs", "Jobs")

_JOB: Final = "Job.batch"
_CRON_JOB: Final = "CronJob.batch"
_MOST_RETRIES: Final = 6
_LONGEST_HISTORY: Final = 10


def _job(subject: KubernetesObject) -> Node:
    return subject.node.at("spec.jobTemplate.spec" if subject.kind == _CRON_JOB else "spec")


@FAMILY.object(
    "job-deadline",
    "Jobs end",
    Severity.MEDIUM,
    _JOB,
    _CRON_JOB,
    fix="Set activeDeadlineSeconds on the job.",
    references=("kube-score: cronjob-has-deadline",),
)
def job_deadline(subject: KubernetesObject, _options: Options) -> Findings:
    yield from require(_job(subject).at("activeDeadlineSeconds"), bool, "must be set")


@FAMILY.object(
    "job-retries",
    "Jobs are not tried for ever",
    Severity.LOW,
    _JOB,
    _CRON_JOB,
    fix=f"Set backoffLimit to {_MOST_RETRIES} or less.",
)
def job_retries(subject: KubernetesObject, _options: Options) -> Findings:
    yield from forbid(
        _job(subject).at("backoffLimit"),
        lambda value: not isinstance(value, int) or value > _MOST_RETRIES,
        f"must be {_MOST_RETRIES} or less",
    )


@FAMILY.object(
    "job-cleaned-up",
    "Finished jobs don't pile up",
    Severity.LOW,
    _JOB,
    _CRON_JOB,
    fix="Set a Job's ttlSecondsAfterFinished; keep at most 10 of a CronJob's jobs, and the last that failed.",
)
def job_cleaned_up(subject: KubernetesObject, _options: Options) -> Findings:
    if subject.kind == _JOB:
        yield from require(
            subject.node.at("spec.ttlSecondsAfterFinished"), lambda value: value is not None, "must be set"
        )
        return
    for name, least in (("successfulJobsHistoryLimit", 0), ("failedJobsHistoryLimit", 1)):
        yield from forbid(
            subject.node.at("spec").key(name),
            lambda value, least=least: not isinstance(value, int) or not least <= value <= _LONGEST_HISTORY,
            f"must be from {least} to {_LONGEST_HISTORY}",
        )


@FAMILY.object(
    "cron-job-overlap",
    "A scheduled job doesn't start beside itself",
    Severity.MEDIUM,
    _CRON_JOB,
    fix="Set concurrencyPolicy to Forbid or Replace, and startingDeadlineSeconds.",
)
def cron_job_overlap(subject: KubernetesObject, _options: Options) -> Findings:
    yield from require(
        subject.node.at("spec.concurrencyPolicy"),
        lambda value: value in ("Forbid", "Replace"),
        "must be Forbid or Replace",
    )
    yield from require(subject.node.at("spec.startingDeadlineSeconds"), bool, "must be set")


@FAMILY.object(
    "cron-job-time-zone",
    "A schedule says whose clock it means",
    Severity.LOW,
    _CRON_JOB,
    fix="Set timeZone, such as Etc/UTC: the controller's own is used otherwise.",
    dev=Enforcement.ADVISORY,
    prod=Enforcement.ADVISORY,
)
def cron_job_time_zone(subject: KubernetesObject, _options: Options) -> Findings:
    yield from require(subject.node.at("spec.timeZone"), bool, "must be set")
