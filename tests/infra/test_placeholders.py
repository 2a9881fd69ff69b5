"""Nobody deploys the example's values without being told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cli.app import app
from infra.engine.placeholders import refuse_placeholders
from infra.errors import PlatformError
from infra.settings.placeholders import placeholders
from tests.infra.variants import PREFIX, REPOSITORY, evaluate_prod

EXAMPLE = [
    "auth.audience",
    "auth.issuers[0].issuer",
    "auth.issuers[0].public_key",
    "aws.account",
    "gateway.allowed_hosts[0]",
    "images.registry",
    "logging.export.endpoint",
    "monitoring.runbooks",
    "postgres.replication.image",
    "tracing.collector.export.endpoint",
]


@pytest.fixture
def config() -> dict[str, Any]:
    read = yaml.safe_load((REPOSITORY / "Pulumi.prod.yaml").read_text())["config"]
    return {key.removeprefix(PREFIX): value for key, value in read.items()}


def written(folder: Path, config: dict[str, Any]) -> Path:
    keys = {f"{PREFIX}{key}": value for key, value in config.items()}
    (folder / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": keys}))
    return folder


def test_values_that_nobody_can_have_are_found_where_they_are(config: dict[str, Any]) -> None:
    assert placeholders(config) == EXAMPLE


@pytest.mark.parametrize(
    "own",
    [
        "mcp.acme.com",
        "https://login.my-example.company/",
        "https://counterexample.computer/",
        "987654321098.dkr.ecr.eu-central-1.amazonaws.com/mcp",
        f"ghcr.io/x/y@sha256:{'0' * 63}1",
        "0.0.0.0/0",
    ],
)
def test_values_of_a_users_own_are_not(own: str) -> None:
    assert placeholders({"a": [{"b": own}], "c": 3, "d": None}) == []


def test_up_refuses_production_with_them_and_names_the_lines() -> None:
    refused = CliRunner().invoke(app, ["up", "--stack", "prod", "--engine", "direct"])
    assert isinstance(refused.exception, PlatformError)
    lines = str(refused.exception).splitlines()
    assert [line.split(": ")[1] for line in lines] == EXAMPLE
    place = next(line for line in lines if "aws.account" in line).rpartition("Pulumi.prod.yaml:")[2]
    source = (REPOSITORY / "Pulumi.prod.yaml").read_text().splitlines()
    assert "account" in source[int(place.rstrip(")")) - 1]
    assert "step 5" in refused.exception.hint


def test_what_is_encrypted_or_for_development_is_not_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(PlatformError):
        refuse_placeholders(written(tmp_path, config), "prod")
    refuse_placeholders(written(tmp_path, {**config, "environment": "development"}), "prod")
    refuse_placeholders(
        written(tmp_path, {"environment": "production", "auth": {"secure": "AAABAAA="}}), "prod"
    )


def test_the_program_warns_of_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    evaluate_prod(
        tmp_path, gateway={"allowed_hosts": ["mcp.acme.io"]}, auth={"audience": "https://mcp.acme.io/"}
    )
    told = capfd.readouterr().err
    assert "these settings still have the example's values: auth.issuers[0].issuer, " in told
    assert "allowed_hosts" not in told
