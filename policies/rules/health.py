# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Probes and graceful ends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import ceil
from typing import Final

from policies.family import Family
from policies.node import UNKNOWN, Node
from policies.objects import KubernetesObject, Pod
from policies.probing import ACTIONS, patience, same_question
from policies.rule import Enforcement, Findings, Options, Severity, fail, require

FAMILY: Final = Family("health", "Probes and graceful ends")

_SERVING: Final = ("DaemonSet.apps", "Deployment.apps", "StatefulSet.apps")
_PROBES: Final = ("startupProbe", "livenessProbe", "readinessProbe")
_SLOWER: Final = 2
"""How many times as long liveness must wait, if it asks what readiness asks."""
_SLEEP: Final = re.compile(r"\bsleep\s+(?P<number>\d+(\.\d+)?)(?P<unit>[smh]?)(?=[\s;&|)]|$)")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}
_DEFAULT_GRACE: Final = 30
"""Seconds that Kubernetes waits after SIGTERM when a pod doesn't say."""


def _serving_containers(subject: KubernetesObject) -> Iterator[tuple[Pod, Node]]:
    """The containers that run as long as a serving pod does."""
    for pod in subject.pods():
        for container in pod.lasting_containers():
            yield pod, container


def _require_probe(subject: KubernetesObject, name: str) -> Findings:
    for _, container in _serving_containers(subject):
        probe = container.key(name)
        yield from require(probe, lambda value: isinstance(value, Mapping), "must be set")
        if not probe.absent and not probe.unknown and all(probe.key(action).absent for action in ACTIONS):
            yield fail(probe, f"must name an action: {', '.join(ACTIONS)}")


@FAMILY.object(
    "readiness-probe",
    "Serving containers say when they can take requests",
    Severity.HIGH,
    *_SERVING,
    fix="Add a readinessProbe.",
    references=("Kubescape C-0018", "CKV_K8S_9", "kube-score: pod-probes"),
)
def readiness_probe(subject: KubernetesObject, _options: Options) -> Findings:
    yield from _require_probe(subject, "readinessProbe")


@FAMILY.object(
    "liveness-probe",
    "Serving containers are restarted when they hang",
    Severity.HIGH,
    *_SERVING,
    fix="Add a livenessProbe.",
    references=("Kubescape C-0056", "CKV_K8S_8"),
)
def liveness_probe(subject: KubernetesObject, _options: Options) -> Findings:
    yield from _require_probe(subject, "livenessProbe")


@FAMILY.object(
    "startup-probe",
    "Serving containers have time to start before liveness counts",
    Severity.MEDIUM,
    *_SERVING,
    fix="Add a startupProbe; it holds the liveness probe back until the first success.",
)
def startup_probe(subject: KubernetesObject, _options: Options) -> Findings:
    yield from _require_probe(subject, "startupProbe")


@FAMILY.object(
    "probes-not-identical",
    "Liveness and readiness ask different questions, or liveness is the far more patient one",
    Severity.MEDIUM,
    *_SERVING,
    fix="Let liveness ask whether the process works, readiness whether it can serve. Where there is one "
    "question only, let liveness (periodSeconds times failureThreshold) take at least twice as long.",
    references=("kube-score: pod-probes-identical", "Kubernetes: liveness, readiness and startup probes"),
)
def probes_not_identical(subject: KubernetesObject, _options: Options) -> Findings:
    for _, container in _serving_containers(subject):
        live, ready = container.key("livenessProbe"), container.key("readinessProbe")
        if live.absent or ready.absent:
            continue
        same = same_question(live, ready, container)
        alive, serving = patience(live), patience(ready)
        if same is False:
            continue
        if alive is not None and serving is not None and alive >= _SLOWER * serving:
            continue
        if same is None or alive is None or serving is None:
            yield fail(Node(UNKNOWN, live.path), "must differ from the readiness probe")
        else:
            yield fail(
                live,
                f"asks what readiness asks, and waits {alive} s to its {serving} s: "
                "an overload would restart the pod",
            )


@FAMILY.object(
    "liveness-not-dependency",
    "Liveness does not fail when a dependency does",
    Severity.HIGH,
    *_SERVING,
    fix="Give liveness a path that only asks the process itself, such as /health/live.",
)
def liveness_not_dependency(subject: KubernetesObject, _options: Options) -> Findings:
    for _, container in _serving_containers(subject):
        live, ready = (container.key(name).at("httpGet.path") for name in ("livenessProbe", "readinessProbe"))
        if live.absent or ready.absent:
            continue
        if live.unknown or ready.unknown:
            yield fail(Node(UNKNOWN, live.path), "must differ from the readiness path")
        elif (live.text() or "").rstrip("/") == (ready.text() or "").rstrip("/"):
            yield fail(live, "is the readiness path: a missing dependency would restart every pod")


@FAMILY.object(
    "probe-port",
    "Probes name a port that the container has",
    Severity.HIGH,
    *_SERVING,
    fix="Use the name of one of the container's ports.",
)
def probe_port(subject: KubernetesObject, _options: Options) -> Findings:
    for _, container in _serving_containers(subject):
        names = [port.at("name") for port in container.at("ports").items()]
        for probe in _PROBES:
            for action in ("httpGet", "tcpSocket"):
                port = container.key(probe).at(f"{action}.port")
                named = port.unknown or isinstance(port.value, str)
                if named and port.value not in [name.value for name in names if not name.unknown]:
                    uncertain = port.unknown or any(name.unknown for name in names)
                    yield fail(
                        Node(UNKNOWN, port.path) if uncertain else port,
                        f"{port.value} is no port of the container",
                    )


@FAMILY.object(
    "probe-timeout",
    "Probes give up before the next one starts",
    Severity.LOW,
    *_SERVING,
    fix="Set timeoutSeconds to periodSeconds or less.",
    dev=Enforcement.ADVISORY,
    prod=Enforcement.ADVISORY,
)
def probe_timeout(subject: KubernetesObject, _options: Options) -> Findings:
    for _, container in _serving_containers(subject):
        for name in _PROBES:
            timeout, period = (
                container.key(name).at("timeoutSeconds"),
                container.key(name).at("periodSeconds"),
            )
            if timeout.unknown or period.unknown:
                yield fail(Node(UNKNOWN, timeout.path), "must not be longer than the period")
            elif (timeout.integer() or 1) > (period.integer() or 10):
                yield fail(timeout, "is longer than the period")


@FAMILY.object(
    "termination-grace",
    "Pods have time to finish what is in flight",
    Severity.HIGH,
    *_SERVING,
    fix="Set terminationGracePeriodSeconds to the preStop sleep plus the drain time, or more.",
    settings=("drain_seconds",),
)
def termination_grace(subject: KubernetesObject, options: Options) -> Findings:
    for pod in subject.pods():
        grace = pod.spec.at("terminationGracePeriodSeconds")
        if grace.unknown:
            yield fail(grace, "decides whether the pod can drain")
            continue
        seconds = _DEFAULT_GRACE if grace.absent else grace.integer() or 0
        needed = 0
        for container in pod.lasting_containers():
            pause = container.at("lifecycle.preStop.sleep.seconds")
            words = container.at("lifecycle.preStop.exec.command").items()
            unsure = next((node for node in (pause, *words) if node.unknown), None)
            if unsure is not None:
                yield fail(unsure, "decides whether the pod can drain")
                continue
            needed = max(needed, (pause.integer() or _exec_sleep(container)) + options.drain_seconds)
        if seconds < needed:
            yield fail(grace, f"is {seconds} s, but preStop and draining take {needed} s")


def _exec_sleep(container: Node) -> int:
    """Seconds of a `sleep N` in an exec preStop hook; 0 for anything else."""
    words = [item.text() or "" for item in container.at("lifecycle.preStop.exec.command").items()]
    match = _SLEEP.search(" ".join(words))
    return ceil(float(match["number"]) * _UNITS[match["unit"] or "s"]) if match else 0
