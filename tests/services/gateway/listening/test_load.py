"""Many streams, and clients that don't read: memory and connections are bounded, and given back."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from services.gateway.authorization import UNRESTRICTED
from services.gateway.call import Call, Era
from services.gateway.listening.stream import MAX_UNSENT, Stream
from services.kit.tokens import Principal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.services.gateway.conftest import Gateway
    from tests.services.gateway.listening.conftest import ChangingServer, Listener

    Before = Callable[..., Gateway]

STREAMS = "mcp_gateway_streams"
MEBIBYTE = 1024 * 1024
PATIENCE_SECONDS = 120.0
"""A thousand of anything may take a busy machine so long."""


def process(gateway: Gateway) -> Path:
    return Path(f"/proc/{gateway.process.popen.pid}")


def resident(gateway: Gateway) -> int:
    """Bytes of memory that the gateway has."""
    return int((process(gateway) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(gateway: Gateway) -> int:
    return len(list((process(gateway) / "fd").iterdir()))


def connect(gateway: Gateway, request: dict[str, Any], *, small: bool = False) -> socket.socket:
    """Send a request to listen, and read nothing."""
    address = urlsplit(gateway.url)
    body = json.dumps(request["json"]).encode()
    lines = [f"{name}: {value}" for name, value in request["headers"].items()]
    lines += [f"host: {address.netloc}", "content-type: application/json", f"content-length: {len(body)}"]
    connection = socket.socket()
    if small:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((address.hostname, address.port))
    connection.sendall("\r\n".join(["POST /mcp HTTP/1.1", *lines, "", ""]).encode() + body)
    return connection


def read_until_alive(connection: socket.socket) -> None:
    """Until the change was told of, and several signs of life came."""
    connection.settimeout(PATIENCE_SECONDS)
    received = b""
    while b"tools/list_changed" not in received or received.count(b": ping") < 3:
        data = connection.recv(65536)
        assert data, received
        received += data


def test_a_thousand_idle_streams_are_cheap_and_leave_nothing(
    alpha: ChangingServer, before: Before, listening: type[Listener]
) -> None:
    limits = {"max_streams": 1100, "max_streams_per_principal": 1100, "keep_alive_seconds": 1}
    gateway = before(alpha, subscriptions=limits)
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["alpha+note://first"]}
    with listening(gateway, wanted):
        baseline, files = resident(gateway), descriptors(gateway)
        levels: list[int] = []
        for _ in range(3):
            with contextlib.ExitStack() as stack:
                connections = [
                    stack.enter_context(connect(gateway, listening.request(wanted))) for _ in range(1000)
                ]
                gateway.wait_for(lambda: gateway.metric(STREAMS) == 1001, "streams", PATIENCE_SECONDS)
                alpha.change("tools")
                for connection in connections:
                    read_until_alive(connection)
                levels.append(resident(gateway))
                assert gateway.metric(STREAMS) == 1001
            gateway.wait_for(lambda: gateway.metric(STREAMS) == 1, "release", PATIENCE_SECONDS)
        assert levels[0] - baseline < 100 * MEBIBYTE
        assert levels[0] < 150 * MEBIBYTE
        assert levels[-1] < levels[0] * 1.05
        gateway.wait_for(lambda: descriptors(gateway) <= files, "closed connections")


def test_a_client_that_reads_nothing_is_dropped_and_harms_nobody(
    alpha: ChangingServer, before: Before, listening: type[Listener]
) -> None:
    limits = {"max_resources": 1000, "max_resources_per_server": 1000}
    gateway = before(alpha, subscriptions=limits, requests={"unread_seconds": 1})
    uris = [f"note://{number}/{'x' * 1500}" for number in range(300)]
    wanted = {"resourceSubscriptions": [f"alpha+{uri}" for uri in uris]}
    with listening(gateway, {"toolsListChanged": True}) as other:
        stuck = connect(gateway, listening.request(wanted), small=True)
        gateway.wait_for(lambda: gateway.metric(STREAMS) == 2, "the second stream")

        def dropped() -> bool:
            alpha.change(*uris)
            time.sleep(0.3)
            return gateway.metric(STREAMS) == 1

        gateway.wait_for(dropped, "the end of the stream", 60)
        alpha.change("tools")
        other.expect("tools")
        stuck.close()
    assert any(line["event"] == "a client doesn't read" for line in gateway.process.lines())


def test_what_wasnt_told_yet_is_bounded() -> None:
    principal = Principal("ada", "", frozenset(), 0)
    call = Call(1, "subscriptions/listen", {}, {}, Era.STATELESS, principal, UNRESTRICTED)
    stream = Stream(call, frozenset(), {("s", "a:/b"): "s+a:/b"}, 15)
    for number in range(10 * MAX_UNSENT):
        stream.updated(f"s+a:/b/{number}", "s+a:/b")
    told = [json.loads(notification)["params"]["uri"] for _, notification in stream.take()]
    assert len(told) == MAX_UNSENT + 1
    assert told[-1] == "s+a:/b"
    assert list(stream.take()) == []


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_who_leaves_before_the_acknowledgement_leaves_nothing(
    gateway: Gateway, listening: type[Listener], leave: str
) -> None:
    for _ in range(20):
        connection = connect(gateway, listening.request({"toolsListChanged": True}))
        if leave == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    with listening(gateway, {"toolsListChanged": True}):
        pass  # those before have been let in by now, too
    gateway.wait_for(lambda: gateway.metric(STREAMS) == 0, "release")
