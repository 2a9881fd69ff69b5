"""What a comparison says is the same in all its forms; secrets are in none of them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.policy import check as policy_check
from cli.preview_markdown import as_markdown
from cli.preview_report import Report
from cli.preview_sarif import LOSS, as_sarif
from cli.preview_terminal import print_report
from infra.comparison import prices
from infra.comparison.comparing import compare_revisions
from infra.engine.violation import Violation
from tests.preview import sarif_schema
from tests.preview.graphs import REPOSITORY, component, graph, kubernetes, report, resource
from tests.preview.repository import make, write

FORMS = ("terminal", "markdown", "json", "sarif")


def written(made: Report, form: str) -> str:
    if form == "terminal":
        console = Console(file=io.StringIO(), width=200)
        print_report(console, made)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()
    if form == "markdown":
        return as_markdown(made)
    return json.dumps(made.as_data() if form == "json" else as_sarif(made), ensure_ascii=False)


def example(**more: Any) -> Report:
    def pod(image: str) -> dict[str, Any]:
        return {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}

    parent = component("gateway")
    old = graph(
        parent,
        kubernetes("apps/v1:Deployment", "web", {"replicas": 1, **pod("web:1")}, parent=parent.urn),
        kubernetes("apps/v1:StatefulSet", "db", {"serviceName": "a"}, source="infra/components/store.py:3"),
        kubernetes("core/v1:PersistentVolumeClaim", "data", {}, options={"retainOnDelete": True}),
        resource("aws:s3/bucket:Bucket", "backups", {"bucket": "a"}),
    )
    web = kubernetes(
        "apps/v1:Deployment",
        "web",
        {"replicas": 2, **pod("web:2")},
        parent=parent.urn,
        source="infra/components/gateway.py:5",
    )
    new = graph(
        parent,
        web,
        kubernetes("apps/v1:StatefulSet", "db", {"serviceName": "b"}, source="infra/components/store.py:3"),
        kubernetes("core/v1:ConfigMap", "fresh"),
        resource("aws:s3/bucket:Bucket", "backups", {"bucket": "b"}),
    )

    def finding(policy: str) -> Violation:
        return Violation(policy, web.urn, f"{policy} is wrong", "mandatory", "high")

    before = (finding("min-replicas"), finding("host-network"))
    after = (finding("host-network"), finding("image-digest"), Violation("advice", "", "x", "advisory", ""))
    return report(old, new, before=before, after=after, **more)


@pytest.mark.parametrize("form", ["terminal", "markdown", "json"])
def test_every_form_tells_objects_policies_images_and_cost(form: str) -> None:
    text = written(example(acknowledged=("StatefulSet/db", "Pod/none")), form)
    for expected in ("web", "fresh", "spec.replicas", "spec.serviceName", "image-digest", "min-replicas"):
        assert expected in text
    for expected in ("web:1", "web:2", "Bucket/backups", "StatefulSet/db", "Pod/none", "charged by use"):
        assert expected in text


def test_json_has_every_fact_for_programs() -> None:
    data = json.loads(written(example(acknowledged=("StatefulSet/db", "Pod/none")), "json"))
    assert data["summary"] == {"created": 1, "changed": 1, "replaced": 2, "deleted": 1, "unchanged": 0}
    assert data["loss"]["pending"] == ["Bucket/backups", "PersistentVolumeClaim/data"]
    assert data["loss"]["acknowledged"] == ["StatefulSet/db"]
    assert data["loss"]["unknown"] == [{"text": "Pod/none", "origin": "--acknowledge"}]
    assert [item["policy"] for item in data["policies"]["new"]] == ["image-digest", "advice"]
    assert [item["policy"] for item in data["policies"]["fixed"]] == ["min-replicas"]
    assert [item["policy"] for item in data["policies"]["unchanged"]] == ["host-network"]
    assert data["exit_code"] == 1


def test_sarif_holds_to_its_schema_and_points_to_lines() -> None:
    log = as_sarif(example(acknowledged=("StatefulSet/db",)))
    sarif_schema.check(log)
    (run,) = log["runs"]
    by_rule = {(item["ruleId"], item["baselineState"]): item for item in run["results"]}
    assert {key for key in by_rule if key[0] != LOSS} == {
        ("image-digest", "new"),
        ("advice", "new"),
        ("host-network", "unchanged"),
    }
    place = by_rule["image-digest", "new"]["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "infra/components/gateway.py"},
        "region": {"startLine": 5},
    }
    losses = {item["message"]["text"]: item for item in run["results"] if item["ruleId"] == LOSS}
    assert losses["StatefulSet/db is replaced for spec.serviceName"]["suppressions"]
    assert losses["PersistentVolumeClaim/data is deleted"]["level"] == "error"
    known = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert known == {item["ruleId"] for item in run["results"]}
    assert "min-replicas" not in json.dumps(log)


def test_a_finding_also_points_to_the_setting_that_is_called_as_its_component(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.test.yaml").write_text("config:\n  small:redis: {}\n  small:gateway: {}\n")
    (tmp_path / "infra/components").mkdir(parents=True)
    (tmp_path / "infra/components/gateway.py").write_text("")
    results = as_sarif(example(root=tmp_path, stack="test"))["runs"][0]["results"]
    (found,) = [item for item in results if item["ruleId"] == "image-digest"]
    related = found["relatedLocations"][0]["physicalLocation"]
    assert (related["artifactLocation"]["uri"], related["region"]["startLine"]) == ("Pulumi.test.yaml", 3)
    (gone,) = [item for item in results if item["message"]["text"].startswith("PersistentVolumeClaim")]
    place = gone["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "Pulumi.test.yaml"


def test_sarif_of_the_policy_command_holds_to_the_schema_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a b}\nspec: {hostNetwork: true, containers: []}\n"
    )
    with pytest.raises(Exception, match="1"):  # typer's Exit
        policy_check([str(file)], as_sarif=True)
    log = json.loads(capsys.readouterr().out)
    assert log["runs"][0]["results"]
    sarif_schema.check(log)


CANARIES = """
import pulumi
import pulumi_aws as aws
import pulumi_docker_build as build
import pulumi_kubernetes as k8s

canary = "CANARY-" + "{side}"
cluster = k8s.Provider("cluster", context="c", namespace="ns")
options = pulumi.ResourceOptions(provider=cluster)
meta = k8s.meta.v1.ObjectMetaArgs
k8s.core.v1.Secret("plain", metadata=meta(name="plain"), string_data={{"a": canary}}, opts=options)
k8s.core.v1.Secret(
    "marked", metadata=meta(name="marked"), data={{"a": pulumi.Output.secret(canary)}}, opts=options
)
wide = pulumi.Output.secret({{canary: canary}})
k8s.core.v1.Secret("wide", metadata=meta(name="wide"), data=wide, opts=options)
k8s.core.v1.ConfigMap(
    "config",
    metadata=meta(name="config", annotations={{"a": pulumi.Output.secret(canary)}}),
    data={{
        "password": canary,
        "app.ini": "user=x\\npassword = " + canary + "\\nurl=redis://u:" + canary + "@h/0\\n",
        "credentials": "[default]\\naws_secret_access_key = " + canary,
        "headers": "authorization: Bearer " + canary + "\\nx-api-key: " + canary,
        "run.sh": "tool --db-password " + canary + "\\ntool 'redis://u:p@" + canary + "@h/0'\\n",
        "github": "ghp_" + "x" * 36 + canary,
        "signing-key": canary,
        "key.pem": "-----BEGIN PRIVATE KEY-----\\n" + canary,
        "list": pulumi.Output.secret(canary).apply(lambda value: "x " + value),
    }},
    opts=options,
)
env = [
    k8s.core.v1.EnvVarArgs(name="DB_PASSWORD", value=canary),
    k8s.core.v1.EnvVarArgs(name="apiKey", value=canary),
    k8s.core.v1.EnvVarArgs(name="OTHER", value=pulumi.Output.secret(canary)),
]
container = k8s.core.v1.ContainerArgs(
    name="a",
    image="a:1",
    env=env,
    command=["sh", "-c", "PGPASSWORD=" + canary + " tool -p " + canary],
    args=["--token=" + canary, pulumi.Output.secret(canary), "--password", canary, "-p", canary],
)
pod = k8s.core.v1.PodSpecArgs(containers=[container])
k8s.core.v1.Pod("pod", metadata=meta(name="pod"), spec=pod, opts=options)
account = pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-central-1", secret_key=canary))
aws.rds.Instance("db", instance_class="db.m7g.large", password=canary, allocated_storage=20, opts=account)
build.Image("image", tags=["a:1"], push=False, secrets={{"token": canary}}, build_args={{"x": "1"}})
pulumi.export("password", canary)
"""


def test_a_canary_in_every_place_of_secrets_is_in_no_form(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = make(tmp_path / "r", CANARIES.format(side="before"))
    write(root, CANARIES.format(side="after"))
    table = prices.load()
    pack = str(REPOSITORY / "policies")
    made = Report.of(compare_revisions("test", "main", table, project=root, pack=pack), table, [])
    assert made.compared.policies.unchanged
    changed = {item.reference for item in made.compared.objects.changes}
    assert changed >= {
        *("Secret/plain", "Secret/marked", "Secret/wide", "ConfigMap/config", "Pod/pod"),
        *("Instance/db", "Image/image"),
    }
    for form in FORMS:
        text = written(made, form)
        assert "CANARY" not in text, form
        if form != "sarif":
            assert "Secret" in text
    captured = capfd.readouterr()
    assert "CANARY" not in captured.out + captured.err


def test_what_is_only_known_after_a_deployment_is_marked(tmp_path: Path) -> None:
    program = """
import pulumi, pulumi_kubernetes as k8s, pulumi_random as random
cluster = k8s.Provider("cluster", context="c", namespace="ns")
name = random.RandomPet("pet").id
options = pulumi.ResourceOptions(provider=cluster)
k8s.core.v1.ConfigMap("c", metadata={"name": "c"}, data={"a": VALUE}, opts=options)
"""
    root = make(tmp_path / "r", program.replace("VALUE", '"plain"'))
    write(root, program.replace("VALUE", "name"))
    table = prices.load()
    made = Report.of(compare_revisions("test", "main", table, project=root, pack=None), table, [])
    for form in ("terminal", "markdown", "json"):
        assert "(known after up)" in written(made, form)
