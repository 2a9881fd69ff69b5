"""A replicated Postgres as it runs: CloudNativePG's Cluster, its pods, and whether its primary answers."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from infra.engine.kubectl import Kubectl, last_line
from infra.naming import POSTGRES

CLUSTER: Final = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster"}
"""A kind that not every Kubernetes has."""
INSTANCES: Final = {"cnpg.io/cluster": POSTGRES, "cnpg.io/podRole": "instance"}
"""Labels of its pods, without the jobs that make them. Their `app.kubernetes.io/name` is the operator's."""

_PRIMARY: Final = {**INSTANCES, "cnpg.io/instanceRole": "primary"}
_CONTAINER: Final = "postgres"
_ASK: Final = 'IFS= read -r PGPASSWORD; export PGPASSWORD; exec psql -h 127.0.0.1 -U "$0" -d "$1" -tAc "$2"'
"""The password comes by standard input: whoever lists processes sees what they are called with."""
_QUESTION: Final = "select 1 where not pg_is_in_recovery()"
_ANSWER: Final = "1"


def is_database(body: Mapping[str, Any]) -> bool:
    """Whether it is CloudNativePG's Cluster, of any version: the operator deletes its volumes with it."""
    group = CLUSTER["apiVersion"].partition("/")[0]
    return body["kind"] == CLUSTER["kind"] and body["apiVersion"].partition("/")[0] == group


def database_in(kubectl: Kubectl, namespace: str) -> dict[str, Any] | None:
    """The Cluster of a namespace, or None if there is none."""
    wanted = {**CLUSTER, "metadata": {"name": POSTGRES, "namespace": namespace}}
    return next(iter(kubectl.live([wanted]).values()), None)


def takes(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether a pod has all of these labels."""
    return wanted.items() <= labels.items()


def as_selector(wanted: Mapping[str, str]) -> str:
    """Labels as kubectl takes them."""
    return ",".join(f"{name}={value}" for name, value in wanted.items())


def ask(kubectl: Kubectl, database: Mapping[str, Any]) -> tuple[bool, str]:
    """Log in at the primary as the database's owner, by password, and ask whether it takes changes.

    Returns:
        Whether it does, and its answer or why there is none.
    """
    namespace = database["metadata"]["namespace"]
    start = database["spec"]["bootstrap"]["initdb"]
    secret = kubectl.get("secret", namespace, start["secret"]["name"])
    if secret is None:
        return False, f"there is no Secret {start['secret']['name']} with its owner's password"
    pods = kubectl.list("pods", namespace, f"--selector={as_selector(_PRIMARY)}")
    if not pods:
        return False, "no instance is the primary"
    result = kubectl.run(
        "exec", pods[0]["metadata"]["name"], "--stdin", "--namespace", namespace, "--container", _CONTAINER,
        "--", "sh", "-c", _ASK, start["owner"], start["database"], _QUESTION,
        stdin=base64.b64decode(secret["data"]["password"]).decode() + "\n",
        timeout=30,
    )  # fmt: skip
    answer = result.out.strip()
    if result.code:
        return False, last_line(result.err)
    return answer == _ANSWER, answer or "it takes no changes"
