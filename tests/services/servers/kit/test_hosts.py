import http.client
from typing import Any

import pytest

from services.servers.kit.hosts import host_is_ours, origin_is_ours

NAMES = frozenset({"filesystem", "mcp.example.com"})


@pytest.mark.parametrize(
    "host",
    [
        *("10.42.0.7:8080", "10.42.0.7", "[fd00::7]:8080", "127.0.0.1:9001", "[::1]"),
        *("localhost", "localhost:8080", "LOCALHOST"),
        *(
            "filesystem",
            "filesystem:8080",
            "filesystem.mcp-dev.svc",
            "filesystem.mcp-dev.svc.cluster.local:8080",
        ),
        *("mcp.example.com", "MCP.example.com:443"),
    ],
)
def test_hosts_of_ours(host: str) -> None:
    assert host_is_ours(host, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.com", "evil.com:8080", "filesystem.evil.com", "evil-filesystem", "redis"),
        *("10.42.0.7.evil.com", "127.0.0.1.nip.io", "localhost.evil.com", "svc", "svc.evil.com", "xsvc"),
        *(
            "mcp.example.com.evil.com",
            "a@127.0.0.1",
            "127.0.0.1/x",
            "127.0.0.1:x",
            "[::1",
            "0x7f.1",
            "2130706433",
        ),
    ],
)
def test_hosts_of_others(host: str) -> None:
    assert not host_is_ours(host, NAMES)


@pytest.mark.parametrize(
    "origin", ["", "http://localhost:6274", "http://127.0.0.1:5173", "http://[::1]", "https://ok.example"]
)
def test_origins_of_ours(origin: str) -> None:
    assert origin_is_ours(origin, frozenset({"https://ok.example"}))


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.com",
        "http://10.0.0.1",
        "https://ok.example.evil.com",
        "http://ok.example",
        "http://localhost.evil.com",
    ],
)
def test_origins_of_others(origin: str) -> None:
    assert not origin_is_ours(origin, frozenset({"https://ok.example"}))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.com"}, 421),
        ({"Host": "10.1.2.3:8080", "Origin": "http://evil.com"}, 403),
        ({"Host": "echo.mcp-dev.svc:8080"}, 400),  # let through, and no MCP request
        ({"Host": "echo", "Origin": "http://localhost:6274"}, 400),
    ],
)
def test_on_the_wire(echo_server: Any, headers: dict[str, str], status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", echo_server.started["port"], timeout=10)
    connection.request(
        "POST", "/mcp", body="{}", headers=headers | {"Content-Type": "application/json", "Accept": "*/*"}
    )
    assert connection.getresponse().status == status
    connection.close()


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_only_post_has_a_meaning(echo_server: Any, method: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", echo_server.started["port"], timeout=10)
    connection.request(method, "/mcp", headers={"Accept": "text/event-stream"})
    response = connection.getresponse()
    assert (response.status, response.headers["allow"]) == (405, "POST")
    connection.close()


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-123", True), ("bad id", False), ("x" * 200, False), (None, False)]
)
def test_every_answer_has_a_request_id(echo_server: Any, sent: str | None, kept: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", echo_server.started["port"], timeout=10)
    connection.request("POST", "/mcp", body="{}", headers={"X-Request-Id": sent} if sent else {})
    got = connection.getresponse().headers["x-request-id"]
    assert (got == sent) is kept
    assert len(got) in {7, 32}
    connection.close()
