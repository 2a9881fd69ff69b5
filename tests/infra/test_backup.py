"""What is declared of backups: jobs that the program understands, and no more rights than each needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.assembly_backup import patience
from infra.engine.graph import Graph
from infra.engine.manifest import manifests
from infra.settings import Settings
from infra.settings.schedule import longest_gap
from services.backup.__main__ import parser
from services.backup.errors import REFUSED, WRONG
from services.backup.settings import BucketSettings
from services.backup.settings import Settings as JobSettings
from tests.infra.test_variants import EXTERNAL, evaluate, mandatory
from tests.infra.variants import evaluate_prod

Object = dict[str, Any]

BUCKET = {
    "endpoint": "https://s3.example.com:9000",
    "name": "copies",
    "credentials": "s3",
    "encryption": "none",
}
ON = {"backup": {"cidrs": ["192.0.2.0/24"], "bucket": BUCKET}}
HOUR = 3600


def bodies(graph: Graph, kind: str) -> dict[str, Object]:
    return {item.name: dict(item.body) for item in manifests(graph) if item.kind == kind}


def pod(job: Object) -> Object:
    return job["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def containers(job: Object) -> list[Object]:
    return [*pod(job).get("initContainers", ()), *pod(job)["containers"]]


def programs(job: Object) -> Iterator[Object]:
    return (it for it in containers(job) if it["args"][0] == "services.backup")


def secrets(job: Object, container: Object) -> set[str]:
    """Names of the Secrets that a container sees."""
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    sources = [
        source
        for volume in pod(job)["volumes"]
        if volume["name"] in mounted
        for source in volume.get("projected", {}).get("sources", ())
    ]
    return {source["secret"]["name"] for source in sources if "secret" in source}


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return evaluate_prod(tmp_path_factory.mktemp("prod"))


@pytest.fixture(scope="module")
def jobs(prod: Graph) -> dict[str, Object]:
    return bodies(prod, "CronJob")


def test_every_part_has_a_backup_and_a_restore_and_there_is_a_drill(jobs: dict[str, Object]) -> None:
    parts = ("configuration", "postgres", "redis")
    assert jobs.keys() == {f"{what}-{part}" for what in ("backup", "restore") for part in parts} | {
        "restore-drill"
    }
    by_hand = {name for name, job in jobs.items() if job["spec"]["suspend"]}
    assert by_hand == {f"restore-{part}" for part in parts}


def test_jobs_end_never_run_beside_themselves_and_are_not_tried_again_in_vain(
    jobs: dict[str, Object],
) -> None:
    for name, job in jobs.items():
        spec = job["spec"]
        assert (spec["concurrencyPolicy"], spec["timeZone"]) == ("Forbid", "Etc/UTC")
        assert spec["startingDeadlineSeconds"] == HOUR
        assert spec["failedJobsHistoryLimit"] == spec["successfulJobsHistoryLimit"] == 3
        run = spec["jobTemplate"]["spec"]
        assert run["activeDeadlineSeconds"] > 0
        assert run["ttlSecondsAfterFinished"] > 0
        assert run["backoffLimit"] == (0 if spec["suspend"] else 2), name
        ignored, failed = run["podFailurePolicy"]["rules"]
        assert ignored["action"] == "Ignore"
        assert (failed["action"], failed["onExitCodes"]["values"]) == ("FailJob", [WRONG, REFUSED])
        assert pod(job)["restartPolicy"] == "Never"


def test_the_program_understands_what_it_is_told(
    jobs: dict[str, Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for job in jobs.values():
        for container in programs(job):
            _, *arguments = container["args"]
            options = parser().parse_args(arguments)
            paths = {mount["mountPath"] for mount in container["volumeMounts"]}
            told = {options.login, options.work, getattr(options, "owner", Path())} - {Path()}
            assert {str(path) for path in told} <= paths
            with monkeypatch.context() as patch:
                for variable in container.get("env", ()):
                    patch.setenv(variable["name"], variable["value"])
                JobSettings()
                if options.job != "prepare":
                    found = BucketSettings()  # pyright: ignore[reportCallIssue] - from the environment
                    assert found.bucket_name == "mcp-platform-prod-backups-123456789012-eu-central-1"
                    assert found.key is not None
                    assert found.key.endswith(f"alias/{found.bucket_name}")


def test_a_restore_is_never_told_which_backup(jobs: dict[str, Object]) -> None:
    for job in jobs.values():
        assert all(
            it["name"] != "BACKUP_AT" for container in containers(job) for it in container.get("env", ())
        )


def test_who_dumps_has_no_login_of_an_owner(jobs: dict[str, Object]) -> None:
    found = {
        (name, container["name"]): secrets(job, container)
        for name, job in jobs.items()
        for container in containers(job)
    }
    # The authority of the stack's own Postgres is no login.
    logins = {place: names - {"postgres-ca"} for place, names in found.items()}
    assert {place: names for place, names in logins.items() if names} == {
        ("backup-postgres", "prepare"): {"postgres-auth"},
        ("backup-redis", "prepare"): {"redis-auth"},
        ("restore-postgres", "restore"): {"postgres-auth"},
        ("restore-redis", "restore"): {"redis-auth"},
    }
    volumes = {it["name"]: it for it in pod(jobs["backup-postgres"])["volumes"]}
    assert volumes["login"]["emptyDir"]["medium"] == "Memory"


def test_who_writes_backups_has_another_role_than_who_reads_them(prod: Graph) -> None:
    taken = {
        str(it.inputs["serviceAccount"]): str(it.inputs["roleArn"]).rpartition("-")[2]
        for it in prod.by_type("aws:eks/podIdentityAssociation:PodIdentityAssociation").values()
    }
    taken = {name: role for name, role in taken.items() if role in {"backup", "restore"}}
    assert taken == {name: name.partition("-")[0] for name in bodies(prod, "CronJob")}


def test_only_the_backup_of_objects_may_list_them_and_never_secrets(
    jobs: dict[str, Object], prod: Graph
) -> None:
    assert {pod(job)["serviceAccountName"] for job in jobs.values()} == jobs.keys()
    assert bodies(prod, "Role").keys() & jobs.keys() == {"backup-configuration"}
    role = bodies(prod, "Role")["backup-configuration"]
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"list"}
    assert not [name for rule in role["rules"] for name in rule["resources"] if name in {"secrets", "*"}]


@pytest.mark.parametrize("mode", ["ambient", "sidecar"])
def test_every_kind_of_object_in_the_namespace_is_backed_up(mode: str, tmp_path: Path) -> None:
    """A kind that is listed without being declared may be unknown to the cluster, and the job would fail."""
    graph = evaluate_prod(tmp_path, mesh={"mode": mode, "waypoint": {}})
    (container,) = containers(bodies(graph, "CronJob")["backup-configuration"])
    told = json.loads(next(it["value"] for it in container["env"] if it["name"] == "BACKUP_RESOURCES"))
    listed = {(version, name) for version, names in told.items() for name in names}
    declared = {
        (it.api_version, re.sub("(?<=[^aeiou])y$", "ie", it.kind.lower()) + "s")
        for it in manifests(graph)
        if it.namespace == "mcp-prod" and it.kind != "Secret"
    }
    assert len([version for version, _ in declared if "." in version]) > 15, "custom resources are among them"
    assert declared <= listed
    assert {version for version, _ in listed} == {version for version, _ in declared}
    own = {"v1", "apps/v1", "autoscaling/v2", "batch/v1"}
    assert {it for it in listed - declared if it[0] not in own} == set()
    allowed = bodies(graph, "Role")["backup-configuration"]["rules"]
    assert {
        (group, name) for rule in allowed for group in rule["apiGroups"] for name in rule["resources"]
    } == {(version.rpartition("/")[0], name) for version, name in listed}


def test_a_drill_restores_to_a_server_of_its_own(jobs: dict[str, Object]) -> None:
    drill = jobs["restore-drill"]
    (server,) = (it for it in containers(drill) if it["name"] == "postgres")
    assert server["restartPolicy"] == "Always"
    assert "startupProbe" in server
    assert "listen_addresses=127.0.0.1" in server["args"]
    (program,) = pod(drill)["containers"]
    assert program["args"][:5] == ["services.backup", "drill", "postgres", "redis", "configuration"]
    (place,) = (it["value"] for it in program["env"] if it["name"] == "BACKUP_POSTGRES")
    assert json.loads(place)["host"] == "127.0.0.1"
    (work,) = (it["ephemeral"] for it in pod(drill)["volumes"] if it["name"] == "work")
    assert work["volumeClaimTemplate"]["spec"]["resources"]["requests"] == {"storage": "50Gi"}


def test_roles_come_by_annotation_with_irsa_and_by_the_agent_without(tmp_path: Path, prod: Graph) -> None:
    assert "annotations" not in bodies(prod, "ServiceAccount")["backup-redis"]["metadata"]
    assert "169.254.170.23/32" in json.dumps(bodies(prod, "NetworkPolicy")["all-backups"])
    issuer = "https://oidc.eks.eu-central-1.amazonaws.com/id/0A"
    irsa = evaluate_prod(tmp_path, aws={"identity": "irsa", "oidc_issuer": issuer})
    for account in bodies(irsa, "CronJob"):
        annotations = bodies(irsa, "ServiceAccount")[account]["metadata"]["annotations"]
        role = f"arn:aws:iam::123456789012:role/mcp-platform-prod-{account.partition('-')[0]}"
        assert annotations == {"eks.amazonaws.com/role-arn": role}
    assert "169.254" not in json.dumps(bodies(irsa, "NetworkPolicy")["all-backups"])


def test_any_s3_will_do_with_its_own_credentials(tmp_path: Path) -> None:
    graph = evaluate(tmp_path, **ON)
    assert mandatory(graph) == []
    jobs = bodies(graph, "CronJob")
    assert len(jobs) == 7
    for job in jobs.values():
        for container in programs(job):
            env = {it["name"]: it["value"] for it in container.get("env", ())}
            prepares = container["args"][1] == "prepare"
            assert ("s3" in secrets(job, container)) != prepares
            assert env.get("BACKUP_ENDPOINT") == (None if prepares else BUCKET["endpoint"])
    (rule, *_) = bodies(graph, "NetworkPolicy")["all-backups"]["spec"]["egress"]
    assert (rule["to"][0]["ipBlock"]["cidr"], rule["ports"][0]["port"]) == ("192.0.2.0/24", 9000)


def test_stores_of_somebody_else_are_dumped_where_that_can_be(tmp_path: Path) -> None:
    postgres = {**EXTERNAL["postgres"], "database": "platform"}
    graph = evaluate(tmp_path, **{**EXTERNAL, "postgres": postgres}, **ON)
    assert mandatory(graph) == []
    jobs = bodies(graph, "CronJob")
    assert not [name for name in jobs if name.endswith("redis")]
    env = {it["name"]: it["value"] for it in pod(jobs["backup-postgres"])["containers"][0]["env"]}
    assert json.loads(env["BACKUP_POSTGRES"]) == {
        "host": "db.example.com",
        "port": 5432,
        "database": "platform",
        "tls": True,
    }
    assert "10.9.1.0/24" in json.dumps(bodies(graph, "NetworkPolicy")["backup-postgres"])
    assert "postgres" in {item.name for item in graph.by_type("docker-build:index:Image").values()}


def test_what_is_switched_off_is_not_there(tmp_path: Path) -> None:
    only = {**ON["backup"], "redis": None, "configuration": None, "drill": None}
    graph = evaluate(tmp_path, backup=only)
    assert bodies(graph, "CronJob").keys() == {"backup-postgres", "restore-postgres"}
    assert bodies(graph, "Role").keys() == {"gateway"}
    assert not bodies(evaluate(tmp_path), "CronJob")


@pytest.mark.parametrize(
    ("schedule", "hours"),
    [
        ("17 1 * * *", 24),
        ("*/15 * * * *", 0.25),
        ("5 0,12 * * *", 12),
        ("0 0 * * sun", 168),
        ("0 8-18/2 * * MON-FRI", 62),
        ("0 0 1 * *", 744),
        ("0 0 1 * mon", 168),
        ("0 0 29 feb ?", 35_064),
    ],
)
def test_the_longest_time_between_two_runs(schedule: str, hours: float) -> None:
    assert longest_gap(schedule) == hours * HOUR


def test_nobody_is_called_before_a_backup_is_late(configure: Any) -> None:
    settings: Settings = configure(**ON)
    assert patience(settings) == {
        "backup-configuration": 24 * HOUR + HOUR + 600,
        "backup-postgres": 24 * HOUR + HOUR + 4 * HOUR,
        "backup-redis": 24 * HOUR + HOUR + HOUR,
        "restore-drill": 168 * HOUR + HOUR + 4 * HOUR,
    }
    assert "backup-redis" not in patience(configure(**{**EXTERNAL, **ON}))
