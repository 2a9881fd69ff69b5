"""Clients that dawdle, idle or leave: they cost a bounded amount, and everybody else is served."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.backend import Backend
from tests.faults.load import Load, Plan
from tests.services.gateway.conftest import Gateway, Launcher

MEBIBYTE = 1024 * 1024
HEAD = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CALL = (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"good__echo","arguments":{"text":"x"}}}'
)
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(CALL) + CALL


def port_of(gateway: Gateway) -> int:
    return int(gateway.url.rsplit(":", 1)[1])


def files(gateway: Gateway) -> int:
    return sum(1 for _ in Path(f"/proc/{gateway.process.popen.pid}/fd").iterdir())


def resident(gateway: Gateway) -> int:
    pages = Path(f"/proc/{gateway.process.popen.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(gateway: Gateway) -> float:
    fields = Path(f"/proc/{gateway.process.popen.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connect(gateway: Gateway, sent: bytes, *, buffer: int | None = None) -> socket.socket:
    connection = socket.socket()
    connection.settimeout(20)
    if buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.connect(("127.0.0.1", port_of(gateway)))
    connection.sendall(sent)
    return connection


def started(launcher: Launcher, server: Backend) -> Gateway:
    servers = [{"name": "good", "urls": [server.url]}]
    return launcher.gateway({"auth": "none", "servers": servers, "requests": {"body_seconds": 2}})


def assert_served(gateway: Gateway, count: int = 50) -> None:
    with Load([Plan(tool="good__echo", urls=[gateway.url], headers={})]) as load:
        load.wait_for(count)
    load.history.check(within=30)


def assert_idle(gateway: Gateway) -> None:
    """It waits, and doesn't spin."""
    before = processor_seconds(gateway)
    time.sleep(2)
    assert processor_seconds(gateway) - before < 1


def test_those_who_send_slowly_or_nothing_keep_nobody_out(
    launcher: Launcher, backend: Callable[..., Backend]
) -> None:
    gateway = started(launcher, backend())
    assert_served(gateway)
    began, memory = files(gateway), resident(gateway)
    dawdlers = [connect(gateway, b"") for _ in range(100)]
    dawdlers += [connect(gateway, HEAD[:40]) for _ in range(100)]
    slow_bodies = [connect(gateway, HEAD + b"Content-Length: 100\r\n\r\n{") for _ in range(100)]
    try:
        assert_served(gateway)
        assert_idle(gateway)
        assert resident(gateway) < memory + 48 * MEBIBYTE
        for connection in slow_bodies:
            assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
    finally:
        for connection in dawdlers + slow_bodies:
            connection.close()
    gateway.wait_for(lambda: files(gateway) <= began + 5, "closed connections")


@pytest.mark.parametrize("framing", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
def test_a_body_that_trickles_in_is_given_up_after_its_time(
    launcher: Launcher, backend: Callable[..., Backend], framing: bytes
) -> None:
    """By its first byte, not by its last."""
    gateway = started(launcher, backend())
    piece = b" " if b"Length" in framing else b"1\r\n \r\n"
    connection = connect(gateway, HEAD + framing + b"\r\n\r\n")
    connection.settimeout(0.1)
    received, deadline = b"", time.monotonic() + 30
    with connection:
        while not received:
            assert time.monotonic() < deadline, "it is still waited for"
            with contextlib.suppress(ConnectionError):  # what is answered already isn't read any more
                connection.sendall(piece)
            with contextlib.suppress(TimeoutError):
                received = connection.recv(1000)
    assert received.startswith(b"HTTP/1.1 408 ")
    assert gateway.metric('mcp_security_violations_total{reason="slow_body"}') == 1


def test_callers_who_leave_take_their_work_along(launcher: Launcher, backend: Callable[..., Backend]) -> None:
    server = backend()
    gateway = started(launcher, server)
    assert_served(gateway)
    began = files(gateway)
    server.behaviour = "black-hole"
    for _ in range(10):
        before = len(server.calls)
        callers = [connect(gateway, REQUEST) for _ in range(8)]
        gateway.wait_for(lambda it=before: len(server.calls) == it + 8, "calls that are under way")
        for caller in callers:
            caller.close()
        in_flight = 'mcp_gateway_upstream_in_flight{server="good"}'
        gateway.wait_for(lambda line=in_flight: gateway.metric(line) == 0, "the end of abandoned work")
    gateway.wait_for(lambda: server.cancelled > 0, "a server that learns of it")
    server.behaviour = "ok"
    assert_served(gateway)
    gateway.wait_for(lambda: files(gateway) <= began + 10, "closed connections")
    assert_idle(gateway)


def test_more_connections_than_there_are_files_for(
    launcher: Launcher, backend: Callable[..., Backend]
) -> None:
    gateway = started(launcher, backend())
    assert_served(gateway)
    limit = files(gateway) + 40
    resource.prlimit(gateway.process.popen.pid, resource.RLIMIT_NOFILE, (limit, limit))
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(gateway, b""))
        time.sleep(1)
        assert files(gateway) <= limit
        assert_idle(gateway)
        assert gateway.process.popen.poll() is None
    gateway.wait_for(lambda: files(gateway) < limit - 20, "closed connections")
    assert_served(gateway)


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_slow_loris_is_cut_off(launcher: Launcher, backend: Callable[..., Backend]) -> None:
    """Heads that come a byte at a time are given up after their time, not after their last byte."""
    gateway = started(launcher, backend())
    assert_served(gateway)
    began = files(gateway)
    lorises = [connect(gateway, HEAD) for _ in range(500)]
    deadline = time.monotonic() + 60
    while files(gateway) > began + 5:
        assert time.monotonic() < deadline, "they are still there"
        for connection in lorises:
            with contextlib.suppress(OSError):
                connection.send(b"x")
        time.sleep(1)
    for connection in lorises:
        connection.close()
    assert_served(gateway)


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_ten_thousand_idle_connections(launcher: Launcher, backend: Callable[..., Backend]) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert most == resource.RLIM_INFINITY or most > 10_500, "raise the limit of open files (ulimit -Hn)"
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gateway = started(launcher, backend())
    resource.prlimit(gateway.process.popen.pid, resource.RLIMIT_NOFILE, (most, most))
    assert_served(gateway)
    began, memory = files(gateway), resident(gateway)
    connections = [connect(gateway, b"") for _ in range(10_000)]
    assert_served(gateway)
    assert resident(gateway) < memory + 400 * MEBIBYTE
    for connection in connections:
        connection.close()
    gateway.wait_for(lambda: files(gateway) <= began + 5, "closed connections", 120)
    assert_served(gateway)
