"""Rate limits: the algorithm in both places where it runs, and what callers see, with Redis there or not."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from services.gateway.config import Rate, Redis
from services.gateway.traffic import gcra
from services.gateway.traffic.gcra import LocalGcra, Quota
from services.gateway.traffic.shared_limits import SharedGcra
from services.gateway.traffic.shared_store import SharedStore, StoreDownError

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, RedisServer, Tokens

SLOW = Rate(per_second=0.01, burst=3)


def quota(scope: str = "principal", key: str = "k", rate: Rate = SLOW) -> Quota:
    return Quota.of(scope, key, rate)


class Clock:
    """Stands in for the `time` module of the algorithm."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1e6
        monkeypatch.setattr(gcra, "time", self)

    def monotonic_ns(self) -> int:
        return int(self.now * 1e9)


def test_a_burst_and_then_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, local = Clock(monkeypatch), LocalGcra()
    limit = [quota(rate=Rate(per_second=2, burst=3))]
    assert [local.check(limit) for _ in range(3)] == [None, None, None]
    refused = local.check(limit)
    assert refused is not None
    assert refused.seconds == pytest.approx(0.5)
    clock.now += 0.49
    assert local.check(limit) is not None
    clock.now += 0.02
    assert local.check(limit) is None
    assert local.check(limit) is not None


@given(st.lists(st.floats(0, 2), min_size=1, max_size=60), st.integers(1, 5), st.floats(0.5, 20))
def test_never_more_than_burst_and_rate_allow(gaps: list[float], burst: int, per_second: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock, local = Clock(patch), LocalGcra()
        began, passed = clock.now, 0
        for gap in gaps:
            clock.now += gap
            passed += local.check([quota(rate=Rate(per_second=per_second, burst=burst))]) is None
        assert 1 <= passed <= burst + (clock.now - began) * per_second + 0.01


def test_a_refused_request_is_charged_to_no_limit() -> None:
    local = LocalGcra()
    tight, wide = quota("tool", "t", Rate(per_second=0.01, burst=1)), quota(key="p")
    assert local.check([wide, tight]) is None
    refused = local.check([wide, tight])
    assert refused is not None
    assert refused.quota is tight
    assert [local.check([wide]) is None for _ in range(3)] == [True, True, False]


def test_what_one_process_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcra, "MAX_KEYS", 10)
    local = LocalGcra()
    for number in range(100):
        local.check([quota(key=str(number))])
    assert len(local) == 10


def with_store(server: RedisServer, run: Any) -> Any:
    async def main() -> Any:
        store = SharedStore(Redis.model_validate(server.patient_settings), CollectorRegistry())
        await store.probe()
        try:
            return await run(store)
        finally:
            await store.close()

    return asyncio.run(main())


def test_redis_counts_as_one_process_does(redis_server: RedisServer) -> None:
    async def run(store: SharedStore) -> None:
        shared = SharedGcra(store)
        tight, wide = quota("tool", "t", Rate(per_second=0.01, burst=1)), quota(key="p")
        assert await shared.check([wide, tight]) is None
        refused = await shared.check([wide, tight])
        assert refused is not None
        assert refused.quota is tight
        assert 50 < refused.seconds <= 100
        assert [await shared.check([wide]) is None for _ in range(3)] == [True, True, False]
        fast = [quota(key="f", rate=Rate(per_second=20, burst=1))]
        assert await shared.check(fast) is None
        await asyncio.sleep(0.06)
        assert await shared.check(fast) is None

    with_store(redis_server, run)
    with redis_server.client() as client:
        assert client.pttl("mcp-gateway:k") > 0 or client.exists("mcp-gateway:k") == 0
        assert 200_000 < client.pttl("mcp-gateway:p") <= 300_000


def test_requests_at_once_share_round_trips(redis_server: RedisServer) -> None:
    limit = [
        quota(rate=Rate(per_second=0.01, burst=150)),
        quota(key="all", rate=Rate(per_second=9, burst=999)),
    ]

    async def run(store: SharedStore) -> None:
        one, other = SharedGcra(store), SharedGcra(store)
        checks = [(one, other)[number % 2].check(limit) for number in range(400)]
        assert [it is None for it in await asyncio.gather(*checks)].count(True) == 150

    with_store(redis_server, run)
    with redis_server.client() as client:
        calls = client.info("commandstats")
        assert calls["cmdstat_evalsha"]["calls"] < 20


def test_scripts_are_loaded_again_after_redis_lost_them(redis_server: RedisServer) -> None:
    async def run(store: SharedStore) -> None:
        shared = SharedGcra(store)
        assert await shared.check([quota()]) is None
        with redis_server.client() as client:
            client.script_flush()
        assert await shared.check([quota()]) is None

    with_store(redis_server, run)


def test_a_caller_that_leaves_takes_nobody_along(redis_server: RedisServer) -> None:
    async def run(store: SharedStore) -> None:
        shared = SharedGcra(store)
        leaving = asyncio.create_task(shared.check([quota()]))
        staying = asyncio.create_task(shared.check([quota()]))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await staying is None

    with_store(redis_server, run)


@pytest.mark.parametrize("error", [RuntimeError("the handler is closed"), IndexError("a defect")])
def test_nobody_waits_for_ever_whatever_goes_wrong(redis_server: RedisServer, error: Exception) -> None:
    async def run(store: SharedStore) -> None:
        shared = SharedGcra(store)

        async def fail(**_: Any) -> None:
            raise error

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shared, "_script", fail)
            checks = [shared.check([quota()]) for _ in range(3)]
            found = await asyncio.wait_for(asyncio.gather(*checks, return_exceptions=True), 10)
        assert [type(it) for it in found] == [StoreDownError] * 3
        senders = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*senders, return_exceptions=True)

    with_store(redis_server, run)


def test_a_redis_that_is_away_is_not_waited_for(redis_server: RedisServer) -> None:
    async def run(store: SharedStore) -> None:
        shared = SharedGcra(store)
        redis_server.stop()
        for _ in range(2):
            with pytest.raises(StoreDownError):
                await shared.check([quota()])
        assert store.problem is not None
        redis_server.start()
        await store.probe()
        assert store.problem is None
        assert await shared.check([quota()]) is None

    with_store(redis_server, run)


def test_a_full_redis_counts_as_away(redis_server: RedisServer) -> None:
    async def run(store: SharedStore) -> str | None:
        with redis_server.client() as client:
            client.config_set("maxmemory", "1")
        with pytest.raises(StoreDownError):
            await SharedGcra(store).check([quota()])
        await store.probe()
        return store.problem

    assert "maxmemory" in with_store(redis_server, run)


def test_a_wrong_password_is_named_and_a_renewed_one_is_read(redis_server: RedisServer) -> None:
    async def run(store: SharedStore) -> None:
        assert "password" in (store.problem or "")
        redis_server.password_file.write_text(redis_server.PASSWORD)
        await store.probe()
        assert store.problem is None

    redis_server.password_file.write_text("wrong")
    with_store(redis_server, run)


def limited(launcher: Launcher, odd: str, limits: dict[str, Any], **config: Any) -> Gateway:
    servers = [{"name": "odd", "urls": [odd]}]
    return launcher.gateway({"auth": "none", "servers": servers, "limits": limits, **config})


def call(gateway: Gateway, tool: str = "mirror", **options: Any) -> httpx2.Response:
    return gateway.mcp("tools/call", {"name": f"odd__{tool}"}, **options)


def test_too_many_are_told_when_to_come_back(launcher: Launcher, odd: str) -> None:
    gateway = limited(launcher, odd, {"principal": {"per_second": 0.1, "burst": 2}})
    assert gateway.mcp("tools/list").status_code == 200
    assert gateway.legacy("ping").status_code == 200
    response = call(gateway)
    assert response.status_code == 429
    assert 1 <= int(response.headers["retry-after"]) <= 10
    error = response.json()["error"]
    assert (response.json()["id"], error["code"]) == (7, -32013)
    assert error["message"].startswith("you send more requests than you may; try again in ")
    assert error["data"]["scope"] == "principal"
    assert 0 < error["data"]["retryAfterMs"] <= 10_000
    assert gateway.metric('mcp_rate_limit_hits_total{scope="principal"}') == 1
    assert gateway.metric('mcp_gateway_security_violations_total{reason="limit_principal"}') == 0


@pytest.mark.parametrize("content", [b"no json", b'{"jsonrpc":"2.0","method":"notifications/x"}'])
def test_nonsense_and_notifications_count_as_well(launcher: Launcher, odd: str, content: bytes) -> None:
    gateway = limited(launcher, odd, {"gateway": {"per_second": 0.1, "burst": 1}})
    headers = {"Content-Type": "application/json"}
    statuses = [
        httpx2.post(f"{gateway.url}/mcp", content=content, headers=headers).status_code for _ in range(2)
    ]
    assert statuses[0] in {202, 400}
    assert statuses[1] == 429


def test_each_tool_has_a_limit_of_its_own(launcher: Launcher, odd: str) -> None:
    rates = [
        {"match": "odd__link", "per_second": 100, "burst": 100},
        {"match": "odd__*", "per_second": 0.1, "burst": 1},
    ]
    gateway = limited(launcher, odd, {"tools": rates})
    assert [call(gateway, tool).status_code for tool in ("a", "a", "b", "b")] == [200, 429, 200, 429]
    assert {call(gateway, "link").status_code for _ in range(5)} == {200}
    assert gateway.mcp("tools/list").status_code == 200


def test_the_tool_that_counts_is_the_bodys(launcher: Launcher, odd: str) -> None:
    gateway = limited(launcher, odd, {"tools": [{"match": "odd__link", "per_second": 0.1, "burst": 1}]})
    call = {"name": "odd__link"}
    statuses = [
        gateway.legacy("tools/call", call, **{"Mcp-Name": name, "Mcp-Method": "tools/list"}).status_code
        for name in ("odd__mirror", "odd__other", "odd__link")
    ]
    assert statuses == [200, 429, 429]
    assert gateway.metric('mcp_tool_calls_total{server="odd",status="ok",tool="link"}') == 1


def test_replicas_count_together_and_principals_apart(
    launcher: Launcher, odd: str, tokens: Tokens, redis_server: RedisServer
) -> None:
    limits = {"principal": {"per_second": 0.01, "burst": 4}, "without_redis": "closed"}
    gateways = [
        limited(launcher, odd, limits, auth=tokens.auth, redis=redis_server.patient_settings)
        for _ in range(2)
    ]
    for gateway in gateways:
        gateway.wait_for(lambda it=gateway: it.metric("mcp_gateway_redis_up") == 1, "redis")
    ada, bob = ({"Authorization": f"Bearer {tokens.make(sub=name)}"} for name in ("ada", "bob"))
    statuses = [call(gateways[turn % 2], headers=ada).status_code for turn in range(6)]
    assert statuses == [200, 200, 200, 200, 429, 429]
    assert call(gateways[0], headers=bob).status_code == 200


@pytest.mark.parametrize(
    ("mode", "statuses"), [("local", [200, 429]), ("open", [200, 200]), ("closed", [503])]
)
def test_without_redis_the_setting_decides(
    launcher: Launcher, odd: str, redis_server: RedisServer, mode: str, statuses: list[int]
) -> None:
    redis_server.stop()
    limits = {"gateway": {"per_second": 0.01, "burst": 1}, "without_redis": mode}
    gateway = limited(launcher, odd, limits, redis=redis_server.settings)  # waits for readiness
    assert [call(gateway).status_code for _ in statuses] == statuses
    if mode == "closed":
        response = call(gateway)
        assert response.headers["retry-after"] == "1"
        assert response.json()["error"]["code"] == -32013
    assert gateway.metric(f'mcp_rate_limit_unshared_total{{mode="{mode}"}}') >= 1
    health = httpx2.get(f"{gateway.ops_url}/health/ready")
    assert health.status_code == 200
    assert health.json()["checks"]["redis"] != "ok"


def test_a_hanging_redis_delays_one_moment_and_is_used_again_afterwards(
    launcher: Launcher, odd: str, redis_server: RedisServer
) -> None:
    limits = {"gateway": {"per_second": 1000, "burst": 1000}}
    seconds, calls = 2, 20
    gateway = limited(launcher, odd, limits, redis={**redis_server.settings, "wait_seconds": seconds})
    gateway.wait_for(lambda: gateway.metric("mcp_gateway_redis_up") == 1, "redis")
    redis_server.hang()
    gateway.wait_for(lambda: gateway.metric("mcp_gateway_redis_up") == 0, "noticing")
    began = time.monotonic()
    assert {call(gateway).status_code for _ in range(calls)} == {200}
    assert time.monotonic() - began < calls * seconds / 2, "not each of them waits"
    redis_server.resume()
    gateway.wait_for(lambda: gateway.metric("mcp_gateway_redis_up") == 1, "redis again")
    events = [line["event"] for line in gateway.logged()]
    assert events.count("redis is away") >= 1
    assert events.count("redis is there") >= 2
