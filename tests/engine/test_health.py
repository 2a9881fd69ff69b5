"""When a stack counts as ready, whoever deployed it."""

from __future__ import annotations

import pytest

from infra.engine.health import Health, Service
from infra.engine.helm import Revision


def service(ready: int) -> Service:
    return Service(name="gateway", kind="Deployment", ready=ready, wanted=3, restarts=0, age=1.0, trouble="")


def revision(status: str) -> Revision:
    return Revision(number=1, status=status, content="c", updated="2026-11-21T00:00:00Z", description="")


@pytest.mark.parametrize(
    ("services", "found", "ready"),
    [
        ([service(3)], revision("deployed"), True),
        ([service(3)], revision("pending-upgrade"), False),
        ([service(2)], revision("deployed"), False),
        ([service(3)], None, True),  # by Pulumi, Argo CD or Flux
        ([service(2)], None, False),
        ([], None, False),
    ],
    ids=["released", "half released", "a pod is missing", "by Pulumi", "by Pulumi, not all", "nothing"],
)
def test_a_stack_is_ready_when_all_that_was_deployed_is(
    services: list[Service], found: Revision | None, ready: bool
) -> None:
    assert Health(services, found).ready is ready
