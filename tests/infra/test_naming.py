from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from infra import versions
from infra.errors import PlatformError
from infra.hashing import config_hash
from infra.labels import component_selector, labels, selector
from infra.naming import DNS_LABEL, RESERVED, Stack, dev_issuer, namespace
from services.kit.version import VERSION

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("stack", ["dev", "prod", "team-a1", "x" * 59])
def test_a_namespace_is_named_after_its_stack(stack: str) -> None:
    name = namespace(stack)
    assert name == f"mcp-{stack}"
    assert re.fullmatch(DNS_LABEL, name)
    assert len(name) <= 63


@pytest.mark.parametrize("stack", ["", "Dev", "a_b", "-a", "a-", "1a", "a.b", "x" * 60, "é"])
def test_a_stack_name_that_no_namespace_can_have_is_refused(stack: str) -> None:
    with pytest.raises(PlatformError, match=f"stack {stack}: the name must be a DNS label"):
        namespace(stack)


def test_the_namespace_of_logs_is_no_stacks_own() -> None:
    assert Stack("prod", production=True).logging_namespace == "logs-mcp-prod"
    assert not namespace("logs-mcp-prod").startswith("logs-")
    with pytest.raises(PlatformError, match="at most 54 characters where logging is set"):
        _ = Stack("x" * 55, production=True).logging_namespace


def test_selectors_pick_what_the_labels_say(stack: Stack) -> None:
    own = labels(stack, "filesystem", "server")
    assert selector(stack, "filesystem").items() <= own.items()
    assert component_selector(stack, "server").items() <= own.items()
    assert not selector(stack, "gateway").items() <= own.items()
    assert not selector(Stack("prod", production=True), "filesystem").items() <= own.items()


def test_nobody_can_claim_that_a_helm_release_manages_an_object(stack: Stack) -> None:
    assert "app.kubernetes.io/managed-by" not in labels(stack, "gateway", "gateway")


def test_issuers_of_two_stacks_differ() -> None:
    assert dev_issuer("a") != dev_issuer("b")


def test_the_names_of_the_platforms_parts_are_taken() -> None:
    assert {"gateway", "redis", "postgres"} <= RESERVED


def test_a_hash_follows_contents_and_names_but_not_order() -> None:
    one = config_hash({"a": "1", "b": "2"})
    assert one == config_hash({"b": "2", "a": "1"})
    assert (
        len({one, config_hash({"a": "2", "b": "1"}), config_hash({"a": "1"}), config_hash({"ab": "12"})}) == 4
    )


def test_the_version_is_the_projects_everywhere() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["version"] == versions.PLATFORM == VERSION


def test_base_images_are_pinned_and_the_same_in_every_dockerfile() -> None:
    dockerfiles = [REPOSITORY / "services" / "Dockerfile", *REPOSITORY.glob("infra/images/*/Dockerfile")]
    assert len(dockerfiles) == 4
    for dockerfile in dockerfiles:
        assert f"ARG BASE={versions.BASE_IMAGE}\n" in dockerfile.read_text()
