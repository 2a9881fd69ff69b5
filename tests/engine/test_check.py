from __future__ import annotations

from pathlib import Path

import pytest

from infra.engine.analyzer import Analyzer
from infra.engine.check import check
from infra.engine.record import record
from infra.engine.violation import Violation
from infra.errors import PlatformError

HERE = Path(__file__).parent
SMALL = HERE / "programs" / "small"
PASSWORD = "urn:pulumi:test::small::random:index/randomPassword:RandomPassword::db"
DEPLOYMENT = "urn:pulumi:test::small::mcp:service:Service$kubernetes:apps/v1:Deployment::app"
SECRET = "urn:pulumi:test::small::kubernetes:core/v1:Secret::db"


def test_a_pack_sees_resources_the_stack_and_never_a_secret() -> None:
    graph = record("test", project=SMALL, generated={PASSWORD: {"result": "canary"}})
    assert check(graph, HERE / "packs" / "small") == [
        Violation("replicas", DEPLOYMENT, "spec.replicas is 2, provider True", "mandatory", "high"),
        Violation("secret", SECRET, "password=[secret],user=[secret]", "advisory", ""),
        Violation("parents", DEPLOYMENT, "app > app > app", "advisory", ""),
    ]


def test_an_unknown_degrades_to_an_advice_that_names_the_resource() -> None:
    found = check(record("test", project=SMALL), HERE / "packs" / "small")
    (advice,) = [item for item in found if item.policy == "secret"]
    assert not advice.mandatory
    assert advice.urn == SECRET
    assert "during preview" in advice.message


def test_a_pack_that_can_not_start_is_named_with_its_last_line() -> None:
    graph = record("test", project=SMALL)
    with pytest.raises(
        PlatformError, match="policy pack failing did not start: RuntimeError: the pack is broken"
    ):
        check(graph, HERE / "packs" / "failing")


def test_a_folder_without_a_program_is_not_a_pack(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="is not a policy pack"):
        check(record("test", project=SMALL), tmp_path)


def test_the_process_is_ended_on_every_way_out() -> None:
    with Analyzer(HERE / "packs" / "small", project="small", stack="test") as analyzer:
        assert analyzer.port() > 0
        process = analyzer.process
        assert process.poll() is None
    assert process.poll() is not None
