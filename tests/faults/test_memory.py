"""Requests that are nothing, and sessions that nobody goes on with: the gateway keeps nothing of them."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.backend import Backend
from tests.faults.proxy import RESET
from tests.fuzz.wire import END_SECONDS, request, talk
from tests.services.gateway.conftest import Gateway, Launcher, Tokens

MEBIBYTE = 1024 * 1024
SESSIONS = 1500


def process(gateway: Gateway) -> Path:
    return Path(f"/proc/{gateway.process.popen.pid}")


def resident(gateway: Gateway) -> int:
    return int((process(gateway) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def files(gateway: Gateway) -> int:
    return sum(1 for _ in (process(gateway) / "fd").iterdir())


def port_of(gateway: Gateway) -> int:
    return int(gateway.url.rsplit(":", 1)[1])


def message(method: str, number: int, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": f"id-{number}", "method": method, "params": params}).encode()


def junk(number: int, token: str) -> list[bytes]:
    """Requests of every kind, with something in each that never was before."""
    good, unique = b"Authorization: Bearer " + token.encode(), b"%d-unique" % number
    name, session = f"nobody{number}__tool", b"Mcp-Session-Id: " + unique
    return [
        request(b'{"jsonrpc": "2.0", "id": "%s' % unique, good),
        request(message("tools/call", number, name=name, arguments={name: name}), good),
        request(message("tools/call", number, name=f"good__{name}"), good, b"X-Request-Id: " + unique),
        request(message(f"nothing/{name}", number), good),
        request(message("logging/setLevel", number, level="debug"), good, session),
        request(message("initialize", number, capabilities={"elicitation": {name: {}}}), good),
        request(message("resources/read", number, uri=f"good+note://{name}"), good, b"X-%s: x" % unique),
        request(message("ping", number), good + unique),
        request(message("ping", number), b"Host: %s.test" % unique),
        request(start=b"GET /%s HTTP/1.1" % unique),
    ]


@pytest.mark.nightly
def test_ten_thousand_junk_requests_leave_nothing(
    launcher: Launcher, backend: Callable[..., Backend], tokens: Tokens
) -> None:
    """With all that could remember them: tokens, limits, the cache, the audit stream, the pages."""
    rate = {"per_second": 100_000, "burst": 100_000}
    gateway = launcher.gateway(
        {
            "auth": tokens.auth,
            "servers": [{"name": "good", "urls": [backend().url]}],
            "limits": {"principal": rate, "tools": [{"match": "*", **rate}]},
            "cache": {"tools": [{"match": "*"}]},
            "audit": {"sink": "log"},
            "requests": {"max_header_fields": 50},
        }
    )
    token = tokens.make()
    large = [b"X-%d: x" % field for field in range(60)]

    def send(rounds: range) -> None:
        for number in rounds:
            sent = junk(number, token)
            received = talk(port_of(gateway), b"".join(sent), until=len(sent), seconds=END_SECONDS)
            assert len(received.responses) == len(sent), received.responses
            if number % 10 == 0:
                (refused,) = talk(port_of(gateway), request(b"{}", *large), until=1).responses
                assert refused.status == 431

    send(range(200))
    before = resident(gateway)
    send(range(200, 1200))
    assert resident(gateway) < before + 12 * MEBIBYTE
    assert gateway.process.popen.poll() is None
    assert gateway.metric('mcp_security_violations_total{reason="header_size"}') == 120


def test_abandoned_sessions_of_2025_leave_nothing(
    launcher: Launcher, backend: Callable[..., Backend]
) -> None:
    """1,500 at a time that say `initialize` and then nothing, each on a connection that breaks at last."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert most == resource.RLIM_INFINITY or most > SESSIONS + 500, (
        "raise the limit of open files (ulimit -Hn)"
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gateway = launcher.gateway(
        {
            "auth": "none",
            "servers": [{"name": "good", "urls": [backend().url]}],
            # All begin at once, on a machine that others want, too; a quarter is let in however late it is.
            "overload": {"in_flight": 4 * SESSIONS},
        }
    )
    resource.prlimit(gateway.process.popen.pid, resource.RLIMIT_NOFILE, (most, most))
    began, empty = files(gateway), resident(gateway)
    greeting = {"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}, "sampling": {}}}
    levels: list[int] = []
    for wave in range(3):
        with contextlib.ExitStack() as stack:
            connections = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port_of(gateway)), END_SECONDS))
                for _ in range(SESSIONS)
            ]
            for number, connection in enumerate(connections):
                connection.sendall(request(message("initialize", wave * SESSIONS + number, **greeting)))
            for connection in connections:
                assert b"mcp-session-id" in connection.recv(65536)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            assert resident(gateway) < empty + 64 * MEBIBYTE
        gateway.wait_for(lambda: files(gateway) <= began + 5, "closed connections", 60)
        levels.append(resident(gateway))
    assert levels[2] < levels[0] + 8 * MEBIBYTE
