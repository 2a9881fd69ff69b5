"""Everything over HTTP that isn't MCP: what is refused, and in which form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, Tokens


def authorization(tokens: Tokens) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.make()}"}


def test_a_refusal_is_a_problem_document(guarded: Gateway) -> None:
    response = httpx2.get(f"{guarded.url}/nothing/here", headers={"X-Request-Id": "mine"})
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == "mine"
    expected = {"status": 404, "title": "Not Found", "detail": "not found", "reason": "not_found"}
    assert response.json() == expected


def test_another_method_is_told_which_ones_there_are(guarded: Gateway, tokens: Tokens) -> None:
    for method in ("POST", "DELETE", "HEAD", "OPTIONS"):
        response = httpx2.request(method, f"{guarded.url}/config", headers=authorization(tokens))
        assert (response.status_code, response.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("query", ["what=1", "%FF=1", "=&=", "&".join(["a=1"] * 30)])
def test_a_query_that_is_not_known_is_refused(guarded: Gateway, tokens: Tokens, query: str) -> None:
    response = httpx2.get(f"{guarded.url}/tools?{query}", headers=authorization(tokens))
    assert (response.status_code, response.json()["reason"]) == (400, "query")


def test_foreign_hosts_and_origins_read_nothing(gateway: Gateway) -> None:
    for headers, status in (({"Host": "evil.test"}, 421), ({"Origin": "https://evil.test"}, 403)):
        for path in ("/config", "/tools"):
            assert httpx2.get(f"{gateway.url}{path}", headers=headers).status_code == status


def test_pages_count_against_the_limits(launcher: Launcher, alpha: str) -> None:
    limits = {"principal": {"per_second": 0.001, "burst": 1}}
    server = {"name": "alpha", "urls": [alpha]}
    limited = launcher.gateway({"auth": "none", "servers": [server], "limits": limits})
    assert httpx2.get(f"{limited.url}/config").status_code == 200
    response = httpx2.get(f"{limited.url}/config")
    assert (response.status_code, response.json()["reason"]) == (429, "limit_principal")
    assert int(response.headers["retry-after"]) > 100
    assert httpx2.get(f"{limited.url}/health").status_code == 200
    assert limited.metric('mcp_rate_limit_hits_total{scope="principal"}') == 1


def test_who_read_what_is_logged(guarded: Gateway, tokens: Tokens) -> None:
    headers = authorization(tokens) | {"X-Request-Id": "page-log"}
    httpx2.get(f"{guarded.url}/config", headers=headers)

    def logged() -> list[dict[str, object]]:
        return [line for line in guarded.process.lines() if line.get("request_id") == "page-log"]

    (line,) = guarded.wait_for(logged, "line of the access log")
    found = {key: line[key] for key in ("event", "method", "path", "status", "outcome", "user", "level")}
    expected = {"event": "page", "method": "GET", "path": "/config", "status": 200, "outcome": "ok"}
    assert found == expected | {"user": "ada", "level": "info"}
