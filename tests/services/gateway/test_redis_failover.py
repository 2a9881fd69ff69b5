"""Redis with replicas and Sentinels as the stack starts it, and a gateway that outlives its primaries."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from services.gateway.config import Redis
from services.gateway.traffic.shared_store import SharedStore
from services.kit.redis_primary import Primary
from tests.services.gateway.caching import KEPT, call, wait_until_shared
from tests.services.gateway.conftest import wait_for
from tests.services.gateway.redis_group import HOST, SECONDS, Group, Member, client

if TYPE_CHECKING:
    from conftest import Gateway

    from tests.services.gateway.caching import Start

LIMITS = {"principal": {"per_second": 1000, "burst": 1000}}
UP = "mcp_gateway_redis_up"


@pytest.fixture(scope="module")
def shared_group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    made = Group(tmp_path_factory.mktemp("redis"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def group(shared_group: Group) -> Group:
    """A group that is whole, whatever was done to it before."""
    shared_group.whole()
    return shared_group


def kill(member: Member) -> None:
    member.kill()


def stop(member: Member) -> None:
    assert member.stop() == [0, 0]


def hang(member: Member) -> None:
    member.hang()


def resume(member: Member) -> None:
    member.resume()


def start_again(member: Member) -> None:
    member.start()


@pytest.mark.parametrize(
    ("fall", "rise"),
    [
        pytest.param(kill, start_again, id="killed"),
        pytest.param(stop, start_again, id="stopped"),
        pytest.param(hang, resume, id="hanging", marks=pytest.mark.nightly),
    ],
)
def test_a_gateway_serves_through_the_end_of_the_primary(
    group: Group, start: Start, fall: Callable[[Member], None], rise: Callable[[Member], None]
) -> None:
    old = group.whole()
    gateway = start(KEPT, redis=group.settings, limits=LIMITS)
    gateway.wait_for(lambda: gateway.metric(UP) == 1, "redis")
    wait_until_shared(gateway, old)
    numbers = itertools.count()

    def served() -> bool:
        return isinstance(call(gateway, arguments={"n": next(numbers)}), str)

    fall(old)
    try:
        new = wait(lambda: assured(served()) and elected(group, old))
        # Limits are counted, and answers shared, where all replicas see them.
        wait(lambda: assured(served()) and gateway.metric(UP) == 1)
        wait_until_shared(gateway, new)
        wait(lambda: counts(gateway, new))
    finally:
        rise(old)
    assert group.whole() is new
    assert old.role() == "slave"
    assert gateway.process.popen.poll() is None


def assured(value: bool) -> bool:
    assert value
    return value


def elected(group: Group, old: Member) -> Member | None:
    """The primary beside the old one, which may hang and say nothing."""
    others = [member for member in group.members if member is not old]
    return next((member for member in others if member.role() == "master"), None)


def counts(gateway: Gateway, primary: Member) -> bool:
    """Whether a call is counted there."""
    with primary.client() as found:
        before = evaluated(found)
        call(gateway)
        return evaluated(found) > before


def evaluated(found: Any) -> int:
    """How many scripts a server has run, as limits are."""
    return found.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]


def test_all_restarted_at_once_keep_their_data_and_their_primary(group: Group) -> None:
    primary = group.whole()
    write(primary, "restart")
    for member in group.members:
        member.kill()
    for member in group.members:
        member.start()
    assert group.whole() is primary
    with primary.client() as found:
        assert found.get("restart") == b"x"


@pytest.mark.nightly
def test_a_primary_that_comes_back_with_an_empty_volume_gets_the_data_of_the_others(group: Group) -> None:
    old = group.whole()
    write(old, "volume")
    old.kill()
    old.lose_volume()
    assert wait(lambda: elected(group, old))
    old.start()
    group.whole()
    assert old.role() == "slave"
    with old.client() as found:
        assert found.get("volume") == b"x"


def test_a_primary_without_replicas_takes_no_writes(group: Group) -> None:
    primary = group.whole()
    others = [member for member in group.members if member is not primary]
    for member in others:
        member.kill()
    try:
        with primary.client() as found:
            assert wait(lambda: refused(lambda: found.set("alone", "x"), "NOREPLICAS"))
    finally:
        for member in others:
            member.start()
    group.whole()


def test_clients_may_ask_sentinels_for_the_primary_and_nothing_else(group: Group) -> None:
    port = group.members[0].sentinel_port
    with client(port, password=Group.PASSWORD) as sentinel:
        assert sentinel.sentinel_get_master_addr_by_name("mcp") == (HOST.encode(), group.whole().port)
        for command in (
            ("SENTINEL", "FAILOVER", "mcp"),
            ("SENTINEL", "SET", "mcp", "quorum", "1"),
            ("INFO",),
        ):
            with pytest.raises(NoPermissionError):
                sentinel.execute_command(*command)
    with client(port) as sentinel, pytest.raises(AuthenticationError):
        sentinel.sentinel_masters()


@pytest.mark.parametrize("user", ["replica", "sentinel"])
def test_those_who_replicate_can_read_no_key(group: Group, user: str) -> None:
    with group.whole().client(username=user, password=Group.REPLICATION) as found:
        for command in (("GET", "x"), ("KEYS", "*"), ("CONFIG", "GET", "*")):
            with pytest.raises(NoPermissionError):
                found.execute_command(*command)


def test_a_server_that_isnt_the_primary_any_longer_is_told_from_one(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = next(member for member in group.members if member is not group.whole())

    async def outdated(_primary: Primary) -> tuple[str, int]:
        return HOST, replica.port

    monkeypatch.setattr(Primary, "address", outdated)
    assert f"{HOST}:{replica.port} isn't the primary" in str(problem_of(group.settings))


def test_sentinels_that_are_away_are_a_problem_and_no_hang(group: Group) -> None:
    gone = {**group.settings, "sentinels": [{"host": HOST, "port": 1}, {"host": HOST, "port": 2}]}
    assert "No master found for 'mcp'" in str(problem_of(gone))
    one_left = {**group.settings, "sentinels": [*gone["sentinels"], group.settings["sentinels"][0]]}
    assert problem_of(one_left) is None


def problem_of(settings: dict[str, Any]) -> str | None:
    async def main() -> str | None:
        store = SharedStore(Redis.model_validate({**settings, "wait_seconds": 5}), CollectorRegistry())
        await store.probe()
        await store.close()
        return store.problem

    return asyncio.run(main())


def write(member: Member, key: str) -> None:
    """Write what all members then have."""
    with member.client(socket_timeout=60) as found:
        found.set(key, "x")
        assert found.wait(2, 30_000) == 2


def refused(ask: Callable[[], object], how: str) -> bool:
    try:
        ask()
    except RedisError as error:
        return str(error).startswith(how)
    return False


def wait(condition: Callable[[], Any]) -> Any:
    return wait_for(condition, "change", SECONDS)
