"""The tasks extension through real gateways: created durably, polled, answered, cancelled; taken over."""

from __future__ import annotations

import secrets
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, Tokens

    from tests.services.conftest import Store

TASKS = "io.modelcontextprotocol/tasks"
DECLARED = {
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}, "extensions": {TASKS: {}}},
}
FINAL = {"completed", "failed", "cancelled"}
LEASE_SECONDS = 10
"""A busy machine may be silent for long; a gateway that lives must not lose its task."""
SHORT = {"lease_seconds": 3}
"""Of gateways that are killed or stopped: what they leave is taken over after that."""


@dataclass
class Jobs:
    """The server of jobs, and the gateways in front of it."""

    launcher: Launcher
    store: Store
    url: str
    folder: Path

    def gateway(self, *, tasks: dict[str, Any] | None = None, **config: Any) -> Gateway:
        rules = [
            {"match": "jobs__needs*", "required": True},
            {"match": "jobs__declared", "required": False},
            {"match": "jobs__*"},
        ]
        return self.launcher.gateway(
            {
                "auth": "none",
                "servers": [{"name": "jobs", "urls": [self.url]}],
                "upstream": {"list_seconds": 20},
                "postgres": {**self.store.settings, "timeout_seconds": 20},
                "tasks": {
                    "lease_seconds": LEASE_SECONDS,
                    "poll_seconds": 0.1,
                    "tools": rules,
                    **(tasks or {}),
                },
                **config,
            }
        )

    def runs(self, name: str) -> int:
        file = self.folder / name
        return len(file.read_text().splitlines()) if file.exists() else 0

    def let_go(self, name: str) -> None:
        (self.folder / f"{name}.go").touch()


@pytest.fixture
def jobs(launcher: Launcher, store: Store, tmp_path: Path) -> Jobs:
    return _jobs(launcher, store, tmp_path)


@pytest.fixture
def own_jobs(launcher: Launcher, own_store: Store, tmp_path: Path) -> Jobs:
    return _jobs(launcher, own_store, tmp_path)


def _jobs(launcher: Launcher, store: Store, tmp_path: Path) -> Jobs:
    folder = tmp_path / "jobs"
    folder.mkdir()
    port = launcher.program("job_server", str(folder))
    return Jobs(launcher, store.migrate(), f"http://127.0.0.1:{port}/mcp", folder)


def call(gateway: Gateway, tool: str, **options: Any) -> httpx2.Response:
    arguments = options.pop("arguments", {})
    meta = options.pop("meta", DECLARED)
    more = options.pop("more", {})
    return gateway.mcp(
        "tools/call", {"name": f"jobs__{tool}", "arguments": arguments, **more}, meta=meta, **options
    )


def about(gateway: Gateway, method: str, task_id: str, **options: Any) -> httpx2.Response:
    params = {"taskId": task_id, **options.pop("more", {})}
    headers = {"Mcp-Name": task_id, **options.pop("headers", {})}
    return gateway.mcp(f"tasks/{method}", params, headers=headers, **{"meta": DECLARED, **options})


def made(gateway: Gateway, tool: str, **options: Any) -> str:
    answer = call(gateway, tool, **options)
    result = answer.json()["result"]
    assert result["resultType"] == "task", answer.text
    return result["taskId"]


def get(gateway: Gateway, task_id: str, **options: Any) -> dict[str, Any]:
    return about(gateway, "get", task_id, **options).json()["result"]


def until(gateway: Gateway, task_id: str, statuses: set[str], **options: Any) -> dict[str, Any]:
    def reached() -> dict[str, Any] | None:
        answer = about(gateway, "get", task_id, **options)
        found = answer.json().get("result", {})
        return found if found.get("status") in statuses else None

    return gateway.wait_for(reached, f"status {statuses}", 60)


def text_of(task: dict[str, Any]) -> str:
    assert task["status"] == "completed", task
    return task["result"]["content"][0]["text"]


def test_a_call_becomes_a_task_whose_result_is_fetched(jobs: Jobs) -> None:
    gateway = jobs.gateway()
    created = call(gateway, "once", arguments={"name": "a"}).json()["result"]
    assert created["status"] == "working"
    assert (created["ttlMs"], created["pollIntervalMs"]) == (86_400_000, 100)
    assert {"result", "error", "inputRequests", "requestState"}.isdisjoint(created)
    assert get(gateway, created["taskId"])["status"] == "working"
    jobs.let_go("a")
    task = until(gateway, created["taskId"], FINAL)
    assert (task["resultType"], text_of(task)) == ("complete", "a is done")
    assert task["lastUpdatedAt"] > task["createdAt"] == created["createdAt"]
    assert jobs.runs("a") == 1


def test_any_replica_knows_the_task_before_the_answer_leaves(jobs: Jobs) -> None:
    one, other = jobs.gateway(), jobs.gateway()
    for number in range(10):
        task_id = made(one, "once", arguments={"name": f"n{number}"})
        assert get(other, task_id)["taskId"] == task_id


def test_tasks_are_for_callers_who_declare_them(jobs: Jobs) -> None:
    gateway = jobs.gateway()
    jobs.let_go("a")
    answer = call(gateway, "once", arguments={"name": "a"}, meta={}).json()["result"]
    assert (answer["resultType"], answer["content"][0]["text"]) == ("complete", "a is done")
    older = gateway.legacy("tools/call", {"name": "jobs__once", "arguments": {"name": "a"}, "task": {}})
    assert older.json()["result"]["content"][0]["text"] == "a is done"
    needed = {"requiredCapabilities": {"extensions": {TASKS: {}}}}
    for refused in (
        call(gateway, "needs_tasks", meta={}),
        *(about(gateway, method, "any", meta={}) for method in ("get", "update", "cancel")),
    ):
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32021)
        assert refused.json()["error"]["data"] == needed


def test_the_extension_is_offered_where_it_is_configured(jobs: Jobs, gateway: Gateway) -> None:
    with_tasks = jobs.gateway().mcp("server/discover").json()["result"]["capabilities"]
    assert with_tasks["extensions"] == {TASKS: {}}
    assert "extensions" not in gateway.mcp("server/discover").json()["result"]["capabilities"]
    answer = about(gateway, "get", "any")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, -32601)
    for method in ("tasks/result", "tasks/list"):
        assert gateway.mcp(method, {}, meta=DECLARED).json()["error"]["code"] == -32601


def test_a_server_declares_which_of_its_tools_are_for_tasks(jobs: Jobs) -> None:
    gateway = jobs.gateway(tasks={"tools": []})
    gateway.mcp("tools/list")
    assert text_of(until(gateway, made(gateway, "declared", arguments={"name": "x"}), FINAL)) == "x"
    jobs.let_go("a")
    assert call(gateway, "once", arguments={"name": "a"}).json()["result"]["resultType"] == "complete"


def test_a_search_for_tools_is_never_a_task(jobs: Jobs) -> None:
    gateway = jobs.gateway(tasks={"tools": [{"match": "*"}]}, search={})
    params = {"name": "search_tools", "arguments": {"query": "declared"}}
    result = gateway.mcp("tools/call", params, meta=DECLARED).json()["result"]
    assert result["resultType"] == "complete"
    assert result["structuredContent"]["tools"][0]["name"] == "jobs__declared"


def test_a_failing_tool_completes_and_an_error_fails(jobs: Jobs) -> None:
    gateway = jobs.gateway(tasks={"max_result_bytes": 2048})
    failing = until(gateway, made(gateway, "fail"), FINAL)
    assert (failing["status"], failing["result"]["isError"]) == ("completed", True)
    missing = until(gateway, made(gateway, "nothing_of_the_kind"), FINAL)
    assert missing["status"] == "failed" or missing["result"]["isError"]
    big = until(gateway, made(gateway, "big", arguments={"size": 5000}), FINAL)
    assert (big["status"], big["error"]["code"]) == ("failed", -32603)
    assert "larger than 2048 bytes" in big["statusMessage"]


def test_a_task_asks_and_is_answered(jobs: Jobs) -> None:
    gateway = jobs.gateway()
    task_id = made(gateway, "paint")
    asking = until(gateway, task_id, {"input_required"})
    ((key, request),) = asking["inputRequests"].items()
    assert request["method"] == "elicitation/create"
    ignored = about(gateway, "update", task_id, more={"inputResponses": {"unknown": {"action": "cancel"}}})
    assert ignored.json()["result"]["resultType"] == "complete"
    assert get(gateway, task_id)["status"] == "input_required"
    response = {"action": "accept", "content": {"color": "green"}}
    acknowledged = about(gateway, "update", task_id, more={"inputResponses": {key: response}}).json()
    assert set(acknowledged["result"]) <= {"resultType", "_meta"}
    assert text_of(until(gateway, task_id, FINAL)) == "green"


def test_answers_may_come_one_by_one_and_keys_never_come_again(jobs: Jobs) -> None:
    one, other = jobs.gateway(), jobs.gateway()
    task_id = made(one, "both")
    first, second = until(one, task_id, {"input_required"})["inputRequests"]
    response = {"action": "accept", "content": {"text": "x"}}
    about(other, "update", task_id, more={"inputResponses": {first: response}})
    partly = get(one, task_id)
    assert (partly["status"], list(partly["inputRequests"])) == ("input_required", [second])
    about(one, "update", task_id, more={"inputResponses": {second: response}})

    def next_round() -> str | None:
        keys = set(get(one, task_id).get("inputRequests", {})) - {first, second}
        return keys.pop() if keys else None

    third = one.wait_for(next_round, "a question of another key", 60)
    about(other, "update", task_id, more={"inputResponses": {third: response}})
    assert text_of(until(one, task_id, FINAL)) == "all three"


def test_a_tool_that_asks_before_it_begins_becomes_a_task_when_it_is_answered(jobs: Jobs) -> None:
    gateway = jobs.gateway(tasks={"tools": [{"match": "jobs__paint", "ask_first": True}]})
    asked = call(gateway, "paint").json()["result"]
    assert asked["resultType"] == "input_required"
    ((key, _),) = asked["inputRequests"].items()
    response = {"action": "accept", "content": {"color": "blue"}}
    more = {"inputResponses": {key: response}, "requestState": asked["requestState"]}
    assert text_of(until(gateway, made(gateway, "paint", more=more), FINAL)) == "blue"


def test_a_cancelled_task_stays_cancelled_and_its_call_ends(jobs: Jobs) -> None:
    one, other = jobs.gateway(), jobs.gateway()
    task_id = made(one, "once", arguments={"name": "a"})
    one.wait_for(lambda: jobs.runs("a"), "call")
    assert one.metric("mcp_tasks_running") + other.metric("mcp_tasks_running") == 1
    for _ in range(2):
        assert about(other, "cancel", task_id).json()["result"]["resultType"] == "complete"
    assert get(one, task_id)["status"] == "cancelled"
    running = "mcp_tasks_running"
    one.wait_for(lambda: one.metric(running) + other.metric(running) == 0, "end of the call")
    jobs.let_go("a")
    assert get(one, task_id)["status"] == "cancelled"


def test_a_task_belongs_to_who_made_it(jobs: Jobs, tokens: Tokens) -> None:
    gateway = jobs.gateway(auth=tokens.auth)
    ada = {"Authorization": f"Bearer {tokens.make(sub='ada')}"}
    bob = {"Authorization": f"Bearer {tokens.make(sub='bob')}"}
    task_id = made(gateway, "once", arguments={"name": "a"}, headers=ada)
    for method in ("get", "update", "cancel"):
        stranger = about(gateway, method, task_id, headers=bob, more={"inputResponses": {}})
        nobody = about(gateway, method, secrets.token_hex(), headers=bob, more={"inputResponses": {}})
        error, expected = stranger.json()["error"], nobody.json()["error"]
        assert (error["code"], error["message"]) == (expected["code"], expected["message"])
        assert (stranger.status_code, error["code"]) == (400, -32602)
    jobs.let_go("a")
    assert text_of(until(gateway, task_id, FINAL, headers=ada)) == "a is done"


def test_the_header_must_name_the_task(jobs: Jobs) -> None:
    answer = about(jobs.gateway(), "get", "one", headers={"Mcp-Name": "other"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)


def test_nobody_has_more_tasks_than_they_may(jobs: Jobs) -> None:
    gateway = jobs.gateway(tasks={"per_principal": 5})
    with ThreadPoolExecutor(10) as pool:
        making = [
            pool.submit(call, gateway, "once", arguments={"name": f"n{number}"}) for number in range(10)
        ]
        codes = sorted(answer.result().status_code for answer in making)
    assert codes == [200] * 5 + [429] * 5


def test_a_task_expires(jobs: Jobs) -> None:
    gateway = jobs.gateway(tasks={"ttl_seconds": 2, "run_seconds": 1, "per_principal": 1})
    task_id = made(gateway, "declared", arguments={"name": "x"})
    gateway.wait_for(lambda: about(gateway, "get", task_id).status_code == 400, "expiry")
    made(gateway, "declared", arguments={"name": "x"})


def test_what_is_kept_has_no_token_and_forgets_arguments_at_the_end(jobs: Jobs, tokens: Tokens) -> None:
    gateway = jobs.gateway(auth=tokens.auth)
    token = tokens.make()
    headers = {"Authorization": f"Bearer {token}"}
    task_id = made(gateway, "once", arguments={"name": "canary"}, headers=headers)
    before = str(jobs.store.rows("SELECT * FROM gateway.tasks"))
    assert "canary" in before
    assert token not in before
    jobs.let_go("canary")
    until(gateway, task_id, FINAL, headers=headers)
    (row,) = jobs.store.rows("SELECT request, input_requests, input_responses FROM gateway.tasks")
    assert set(row.values()) == {None}


def test_a_task_is_audited_when_it_is_made_and_when_it_ends(jobs: Jobs) -> None:
    gateway = jobs.gateway(audit={"flush_seconds": 0.02})
    task_id = made(gateway, "fail")
    until(gateway, task_id, FINAL)
    query = "SELECT request_id, target, outcome, error_type FROM gateway.audit ORDER BY sequence"
    gateway.wait_for(lambda: len(jobs.store.rows(query)) == 2, "two rows")
    created, ended = jobs.store.rows(query)
    assert created["request_id"] == ended["request_id"]
    assert (created["target"], created["outcome"]) == ("fail", "ok")
    assert (ended["target"], ended["outcome"], ended["error_type"]) == ("fail", "error", "tool_error")


def test_more_tasks_than_may_run_wait(jobs: Jobs) -> None:
    gateway = jobs.gateway(tasks={"running": 2})
    ids = [made(gateway, "once", arguments={"name": f"n{number}"}) for number in range(4)]
    gateway.wait_for(lambda: sum(jobs.runs(f"n{number}") for number in range(4)) == 2, "two calls")
    for number in range(4):
        jobs.let_go(f"n{number}")
    assert {until(gateway, task_id, FINAL)["status"] for task_id in ids} == {"completed"}
    assert [jobs.runs(f"n{number}") for number in range(4)] == [1] * 4


# Gateways that die, hang or are replaced, and a Postgres that goes away.


def kill(gateway: Gateway) -> None:
    gateway.process.popen.kill()
    gateway.process.popen.wait()


def begun(jobs: Jobs, tool: str, name: str, **tasks: Any) -> tuple[str, Gateway, Gateway]:
    """A running task, the gateway that runs it, and another one."""
    first = jobs.gateway(tasks=tasks)
    task_id = made(first, tool, arguments={"name": name})
    first.wait_for(lambda: jobs.runs(name) == 1, "call")
    return task_id, first, jobs.gateway(tasks=tasks)


def test_a_task_whose_gateway_was_killed_is_taken_over(jobs: Jobs) -> None:
    task_id, first, second = begun(jobs, "again", "a", **SHORT)
    kill(first)
    second.wait_for(lambda: jobs.runs("a") == 2, "second call", 60)
    jobs.let_go("a")
    assert text_of(until(second, task_id, FINAL)) == "a is done"
    assert second.metric("mcp_tasks_taken_over_total") == 1


def test_what_must_not_run_twice_fails_when_its_gateway_was_killed(jobs: Jobs) -> None:
    task_id, first, second = begun(jobs, "once", "a", **SHORT)
    kill(first)
    task = until(second, task_id, FINAL)
    assert task["status"] == "failed"
    assert "may have been carried out" in task["error"]["message"] == task["statusMessage"]
    assert jobs.runs("a") == 1


def test_a_task_that_was_not_begun_is_begun_elsewhere(jobs: Jobs) -> None:
    first = jobs.gateway(tasks={"running": 1})
    made(first, "once", arguments={"name": "a"})
    first.wait_for(lambda: jobs.runs("a") == 1, "call")
    waiting = made(first, "once", arguments={"name": "b"})
    assert jobs.runs("b") == 0
    kill(first)
    jobs.let_go("b")
    assert text_of(until(jobs.gateway(), waiting, FINAL)) == "b is done"
    assert jobs.runs("b") == 1


def test_a_late_result_is_refused(jobs: Jobs) -> None:
    task_id, first, second = begun(jobs, "once", "a", **SHORT)
    first.process.popen.send_signal(signal.SIGSTOP)  # longer than its lease
    assert until(second, task_id, FINAL)["status"] == "failed"
    jobs.let_go("a")
    first.process.popen.send_signal(signal.SIGCONT)
    second.wait_for(lambda: first.metric("mcp_tasks_running") == 0, "end of the first run")
    assert get(first, task_id)["status"] == get(second, task_id)["status"] == "failed"


def test_a_gateway_that_ends_lets_its_tasks_end(jobs: Jobs) -> None:
    task_id, first, second = begun(jobs, "once", "a")
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(first.process.stop)
        jobs.let_go("a")
        assert ending.result() == 0
    assert text_of(until(second, task_id, FINAL)) == "a is done"
    assert jobs.runs("a") == 1


def test_a_restart_of_postgres_loses_nothing(own_jobs: Jobs) -> None:
    jobs = own_jobs
    gateway = jobs.gateway(tasks={"lease_seconds": 30})
    task_id = made(gateway, "once", arguments={"name": "a"})
    gateway.wait_for(lambda: jobs.runs("a") == 1, "call")
    jobs.store.server.stop()
    refused = call(gateway, "once", arguments={"name": "b"})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert about(gateway, "get", task_id).status_code == 503
    jobs.let_go("a")  # ends while its result can't be written
    jobs.store.server.start()
    assert text_of(until(gateway, task_id, FINAL)) == "a is done"
    assert (jobs.runs("a"), jobs.runs("b")) == (1, 0)
