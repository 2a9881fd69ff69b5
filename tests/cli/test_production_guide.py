"""docs/guides/production.md is true for the stack as it is."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from infra.engine.manifest import manifests
from infra.naming import EDGE, namespace
from tests.cli.documented import REPOSITORY, commands
from tests.evaluated import evaluated

GUIDE = (REPOSITORY / "docs/guides/production.md").read_text()
OPERATORS = {
    "barmancloud.cnpg.io": "Barman Cloud plugin",
    "cert-manager.io": "cert-manager",
    "external-secrets.io": "External Secrets Operator",
    "gateway.envoyproxy.io": "Envoy Gateway",
    "gateway.networking.k8s.io": "CRDs of the Gateway API",
    "monitoring.coreos.com": "Prometheus operator",
    "networking.istio.io": "Istio",
    "postgresql.cnpg.io": "CloudNativePG",
    "security.istio.io": "Istio",
}
"""Groups of custom resources, and what the guide calls whoever brings them."""

ALONE = [
    ("preview", "--stack", "prod", "--offline"),
    ("secrets", "list", "--stack", "prod"),
    ("render", "--stack", "prod", "--output", "rendered/prod"),
]
"""What needs neither a cluster nor credentials."""


def test_every_operator_that_the_stack_needs_is_named_with_a_version() -> None:
    groups = {str(item.body["apiVersion"]).rpartition("/")[0] for item in manifests(evaluated("prod"))}
    custom = {group for group in groups if "." in group and not group.endswith(".k8s.io")}
    custom |= groups & {"gateway.networking.k8s.io"}
    assert custom - OPERATORS.keys() == set(), "say in the guide who brings these"
    rows = [line for line in GUIDE.splitlines() if line.startswith("| `")]
    for group in custom:
        named = [row for row in rows if OPERATORS[group] in row]
        assert any(re.search(r"\d\.\d", row) for row in named), group


def test_every_placeholder_is_in_the_guide() -> None:
    """By the last words of its keys: `storage_class` of `servers: filesystem: volume:`."""
    lines = (REPOSITORY / "Pulumi.prod.yaml").read_text().splitlines()
    marked = [line for line in lines[1:] if "PLACEHOLDER" in line and ":" in line.partition("#")[0]]
    assert len(marked) > 5
    keys = {re.findall(r"([a-z_]+):(?!//)", line.partition("#")[0])[-1] for line in marked}
    table = GUIDE[GUIDE.index("### 5.") : GUIDE.index("### 6.")]
    missing = {key for key in keys if not re.search(rf"[`.]{key}`", table)}
    assert missing == set()


@pytest.mark.parametrize("words", ALONE, ids=" ".join)
def test_what_needs_no_cluster_works_as_written(words: tuple[str, ...], tmp_path: Path) -> None:
    assert words in {command.words for command in commands(GUIDE)}
    typed = [str(tmp_path / word) if word == "rendered/prod" else word for word in words]
    done = subprocess.run(
        [sys.executable, "-m", "cli", *typed], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
def test_its_files_are_yaml(block: str) -> None:
    assert isinstance(yaml.safe_load(block), dict)


def test_the_meshs_callers_have_the_accounts_that_the_guides_installations_make() -> None:
    """Charts name theirs after release and chart; Envoy Gateway its proxies' by a hash of the Gateway."""
    lines = GUIDE.replace("\\\n", " ").splitlines()
    installed = [shlex.split(line) for line in lines if line.startswith("helm install ")]
    (operator,) = (words for words in installed if words[3] == "cloudnative-pg")
    (prometheus,) = (words for words in installed if words[3].endswith("/kube-prometheus-stack"))
    door = f"{namespace('prod')}/{EDGE}"
    config = yaml.safe_load((REPOSITORY / "Pulumi.prod.yaml").read_text())["config"]
    assert prometheus[2] in prometheus[3], "the chart's name is part of the release's"
    assert config["mcp-platform:mesh"]["callers"] == {
        operator[operator.index("--namespace") + 1]: f"{operator[2]}-{operator[3]}",
        prometheus[prometheus.index("--namespace") + 1]: f"{prometheus[2]}-prometheus",
        "envoy-gateway-system": f"envoy-{door.replace('/', '-')}-{sha256(door.encode()).hexdigest()[:8]}",
    }
