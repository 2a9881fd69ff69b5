"""A gateway that is killed takes along what it was working on, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults.backend import Backend
from tests.faults.history import Outcome
from tests.faults.load import Load, Plan
from tests.services.gateway.conftest import Launcher, Tokens

WORKERS = 8


def test_the_other_gateway_goes_on(
    launcher: Launcher, backend: Callable[..., Backend], tokens: Tokens
) -> None:
    server = backend()
    config = {"auth": tokens.auth, "servers": [{"name": "good", "urls": [server.url]}]}
    doomed, other = launcher.gateway(config), launcher.gateway(config)
    headers = {"Authorization": f"Bearer {tokens.make()}"}
    plans = [Plan(tool="good__echo", urls=[doomed.url, other.url], headers=headers) for _ in range(WORKERS)]
    with Load(plans) as load:
        load.wait_for(200)
        killed = time.monotonic()
        doomed.process.popen.kill()
        doomed.process.popen.wait()
        gone = time.monotonic()
        load.wait_for(200)
        load.wait_for(20, outcome=Outcome.FAIL)
    history = load.history
    history.check(within=30, allowed={"fail refused", "unknown broken"})
    lost = history.where(lambda it: it.outcome is Outcome.UNKNOWN)
    assert len(lost) <= WORKERS, "only what was in flight has an unknown end"
    assert all(it.target == doomed.url and it.began <= gone + 5 for it in lost.entries)
    failed = history.where(lambda it: it.outcome is not Outcome.OK)
    assert {it.target for it in failed.entries} == {doomed.url}
    before = history.before(killed)
    assert before.count(Outcome.OK) == len(before), before.kinds
    carried_out = history.count(Outcome.OK)
    assert carried_out <= len(server.calls) <= carried_out + len(lost), "no call was carried out twice"


def test_a_gateway_that_is_told_to_end_loses_nothing(
    launcher: Launcher, backend: Callable[..., Backend], tokens: Tokens
) -> None:
    config = {"auth": tokens.auth, "servers": [{"name": "good", "urls": [backend().url]}]}
    leaving, other = launcher.gateway(config), launcher.gateway(config)
    headers = {"Authorization": f"Bearer {tokens.make()}"}
    plans = [Plan(tool="good__echo", urls=[leaving.url, other.url], headers=headers) for _ in range(WORKERS)]
    with Load(plans) as load:
        load.wait_for(200)
        assert leaving.process.stop() == 0
        load.wait_for(200)
    history = load.history
    # A connection that is kept can be closed at the moment at which a client uses it; clients try again.
    history.check(within=30, allowed={"fail refused", "unknown broken"})
    assert history.count(Outcome.UNKNOWN) <= WORKERS
    assert history.where(lambda it: it.target == other.url and it.outcome is not Outcome.OK).entries == []
