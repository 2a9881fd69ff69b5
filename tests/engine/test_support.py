from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from infra.engine.graph import Graph, Resource
from infra.engine.record import record
from infra.engine.support import require_supported
from infra.engine.target import Target, require_target
from infra.errors import PlatformError

SMALL = Path(__file__).parent / "programs" / "small"
BUCKET = Resource(type="aws:s3/bucketV2:BucketV2", name="backups", urn="u", inputs={})
TARGET = Target("test", "mcp-test", "mcp-default", None, None)


def test_every_kind_that_the_direct_way_knows_is_accepted() -> None:
    require_supported(record("test", project=SMALL))


@pytest.mark.parametrize(
    "resource",
    [
        BUCKET,
        Resource(type="random:index/randomPet:RandomPet", name="backups", urn="u", inputs={}),
        Resource(
            type="kubernetes:helm.sh/v4:Chart",
            name="backups",
            urn="u",
            inputs={},
            custom=False,
            options={"remote": True},
        ),
    ],
)
def test_what_only_pulumi_can_deploy_is_refused_by_name(resource: Resource) -> None:
    with pytest.raises(PlatformError, match="'backups' can't be deployed without Pulumi: this stack needs"):
        require_supported(Graph("p", "prod", (resource,), {}))


def test_the_others_are_counted() -> None:
    other = replace(BUCKET, name="logs")
    with pytest.raises(PlatformError, match=r"'backups' \(and 1 more\)"):
        require_supported(Graph("p", "prod", (BUCKET, other), {}))


def test_the_program_must_deploy_where_the_settings_say() -> None:
    graph = record("test", project=SMALL)
    require_target(graph, TARGET)
    with pytest.raises(PlatformError, match="not to elsewhere alone"):
        require_target(graph, replace(TARGET, context="elsewhere"))
    with pytest.raises(PlatformError, match=r"deploys to \[\]"):
        require_target(Graph("p", "test", (), {}), TARGET)
