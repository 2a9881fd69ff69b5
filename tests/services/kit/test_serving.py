"""A served process: two ports, draining, signals, and bounds on request heads."""

import contextlib
import itertools
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.fork_server import ForkServer

LARGE = 40_000_000
FORKS = ForkServer("services.kit.http_protocol", "services.kit.ops", "services.kit.serving")
PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from services.kit import http_protocol, serving
from services.kit.asgi import respond
from services.kit.health import Health
from services.kit.logs import configure_logging
from services.kit.metrics import new_registry
from services.kit.ops import ops_app
from services.kit.serving import ServeError, serve
from services.kit.settings import ServiceSettings, load

http_protocol.HEAD_SECONDS = float(os.environ.get("HEAD_SECONDS", 30))
serving.KEEP_ALIVE_SECONDS = float(os.environ.get("KEEP_ALIVE_SECONDS", 30))

async def app(scope, receive, send):
    if scope["path"] == "/slow":
        await asyncio.sleep(2)
    if scope["path"] == "/gate":
        gate = Path(os.environ["GATE"])
        gate.with_suffix(".reached").touch()
        while not gate.exists():
            await asyncio.sleep(0.02)
    if scope["path"] == "/echo":
        received = b""
        while (event := await receive())["more_body"]:
            received += event["body"]
        await respond(send, 200, b"<" + received + event["body"] + b">")
        return
    if scope["path"] == "/endless":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await asyncio.wait_for(receive(), None))["type"] != "http.disconnect":
            for _ in range(10_000):
                await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
    await respond(send, 200, b"x" * 40_000_000 if scope["path"] == "/large" else b"done")

configure_logging("demo")
health = Health()
try:
    serve(
        app,
        ops_app("demo", health, new_registry()),
        health=health,
        settings=load(ServiceSettings),
        door={b"/busy": b"HTTP/1.1 503 Busy\\r\\ncontent-length: 4\\r\\n\\r\\nbusy"}.get,
    )
except ServeError as error:
    sys.exit(str(error))
"""


class Served:
    def __init__(self, log: Path, **environment: str) -> None:
        self.log = log
        self.gate = log.with_name(f"{log.name}-gate")
        """Requests to `/gate` are answered once it is there."""
        program = log.with_suffix(".py")
        program.write_text(PROGRAM)
        listen = {"HOST": "127.0.0.1", "PORT": "0", "OPS_PORT": "0", "GATE": str(self.gate)}
        with log.open("wb") as output:
            self.process = FORKS.start([str(program)], {**os.environ, **listen, **environment}, output)

    def wait_for_request(self) -> None:
        """Until somebody waits at the gate."""
        deadline = time.monotonic() + 30
        while not self.gate.with_suffix(".reached").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def listening(self) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for line in self.log.read_text().splitlines(keepends=True):
                if '"listening"' in line and line.endswith("\n"):
                    return json.loads(line)
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with running(tmp_path / "log") as found:
        yield found


@contextlib.contextmanager
def running(log: Path, **environment: str) -> Generator[Served]:
    found = Served(log, **environment)
    try:
        yield found
    finally:
        found.process.kill()
        found.process.wait()


def test_requests_in_flight_finish_and_health_answers_meanwhile(served: Served) -> None:
    ports = served.listening()
    answers: list[httpx2.Response] = []
    url, ops = f"http://127.0.0.1:{ports['port']}", f"http://127.0.0.1:{ports['ops_port']}"
    assert httpx2.get(f"{ops}/health/ready").status_code == 200
    thread = threading.Thread(target=lambda: answers.append(httpx2.get(f"{url}/gate")))
    thread.start()
    served.wait_for_request()
    served.process.send_signal(signal.SIGTERM)
    wait_until_draining(ports["ops_port"])
    assert httpx2.get(f"{ops}/health/ready").json()["checks"] == {"shutdown": "draining"}
    assert httpx2.get(f"{ops}/health/live").status_code == 200
    served.gate.touch()
    thread.join()
    assert answers[0].text == "done"
    assert served.process.wait(20) == 0


def test_those_who_have_not_heard_get_in_for_a_moment_and_are_sent_away(served: Served) -> None:
    ports = served.listening()
    with socket.create_connection(("127.0.0.1", ports["port"]), timeout=20) as kept:
        assert "connection: close" not in ask(kept)
        served.process.send_signal(signal.SIGTERM)
        wait_until_draining(ports["ops_port"])
        assert "connection: close" in ask(kept)
        assert kept.recv(100) == b""
    with socket.create_connection(("127.0.0.1", ports["port"]), timeout=20) as new:
        assert "connection: close" in ask(new)
    deadline = time.monotonic() + 20
    while accepts(ports["port"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert served.process.wait(20) == 0


def test_people_do_not_wait_for_balancers(served: Served) -> None:
    port = served.listening()["port"]
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(20) == 0
    assert not accepts(port)


def ask(connection: socket.socket) -> str:
    """The whole answer to a request."""
    connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    received = b""
    while not received.endswith(b"done"):
        data = connection.recv(1000)
        assert data, received
        received += data
    return received.decode()


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until_draining(ops_port: int) -> None:
    deadline = time.monotonic() + 20
    while httpx2.get(f"http://127.0.0.1:{ops_port}/health/ready").status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_client_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    with running(tmp_path / "log", UNREAD_SECONDS="0.5") as served:
        port = served.listening()["port"]
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
            deadline = time.monotonic() + 20
            while "a client doesn't read" not in served.log.read_text():
                assert time.monotonic() < deadline
                time.sleep(0.1)
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(1_000_000):
                    pass


def test_a_client_that_reads_slowly_is_not(tmp_path: Path) -> None:
    with running(tmp_path / "log", UNREAD_SECONDS="2") as served:
        port = served.listening()["port"]
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
            received = 0
            for _ in range(20):
                time.sleep(0.2)
                received += len(connection.recv(1_000_000))
            while received < LARGE and (data := connection.recv(1_000_000)):
                received += len(data)
            assert received >= LARGE


def test_a_second_signal_ends_it_at_once(served: Served) -> None:
    ports = served.listening()
    with socket.create_connection(("127.0.0.1", ports["port"])) as connection:
        connection.sendall(b"GET /gate HTTP/1.1\r\nhost: x\r\n\r\n")
        served.wait_for_request()
        served.process.send_signal(signal.SIGTERM)
        wait_until_draining(ports["ops_port"])
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(20) == 128 + signal.SIGINT, "though the request is never answered"


def test_a_port_in_use_is_one_line(served: Served, tmp_path: Path) -> None:
    port = served.listening()["port"]
    second = Served(tmp_path / "second", PORT=str(port))
    assert second.process.wait(20) == 1
    assert second.log.read_text() == f"can't listen on 127.0.0.1 port {port}: Address already in use\n"


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: "])
def test_a_head_that_does_not_come_closes_the_connection(tmp_path: Path, start: bytes) -> None:
    with running(tmp_path / "log", HEAD_SECONDS="0.5") as served:
        address = ("127.0.0.1", served.listening()["port"])
        with socket.create_connection(address, timeout=20) as connection:
            connection.sendall(start)
            assert connection.recv(100) == b""


def test_a_head_without_end_is_refused(served: Served) -> None:
    port = served.listening()["port"]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nx-long: x")
        time.sleep(0.1)
        connection.sendall(b"x" * 70_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("port", ["port", "ops_port"])
def test_a_head_with_too_many_fields_is_refused(tmp_path: Path, port: str) -> None:
    with running(tmp_path / "log", MAX_HEADER_FIELDS="16") as served:
        number = served.listening()[port]
        fields = [b"x-%d: y\r\n" % index for index in range(16)]
        few = b"GET /health/live HTTP/1.1\r\nhost: x\r\n" + b"".join(fields[:15]) + b"\r\n"
        assert exchange(number, few, end=b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        many = few.replace(b"\r\n\r\n", b"\r\n" + fields[15] + b"\r\n")
        assert exchange(number, many, end=b"\0").startswith(b"HTTP/1.1 431 ")


def test_how_large_a_head_may_be_is_a_setting(tmp_path: Path) -> None:
    with running(tmp_path / "log", MAX_HEAD_BYTES="4096") as served:
        port = served.listening()["port"]
        head = b"GET / HTTP/1.1\r\nhost: x\r\nx-long: %s\r\n\r\n"
        assert exchange(port, head % (b"x" * 3900), end=b"done").startswith(b"HTTP/1.1 200 ")
        assert exchange(port, head % (b"x" * 4200), end=b"\0").startswith(b"HTTP/1.1 431 ")


def test_connections_are_kept_for_more_requests(tmp_path: Path) -> None:
    with running(tmp_path / "log", HEAD_SECONDS="1.5") as served:
        address = ("127.0.0.1", served.listening()["port"])
        with socket.create_connection(address, timeout=20) as connection:
            for pause in (0, 0, 1.8):  # more than a head may take
                time.sleep(pause)
                ask(connection)


def exchange(port: int, *pieces: bytes, end: bytes) -> bytes:
    """What comes back until `end`; each piece is a packet of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = b""
        # Closed with something unread, a connection is reset; what came before is there to be read.
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.05)
        with contextlib.suppress(ConnectionError):
            while end not in received and (data := connection.recv(1000)):
                received += data
    return received


OFFERS = (
    b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
    b"connection: upgrade\r\nupgrade: websocket\r\n",
    b"connection: upgrade\r\nupgrade: a\r\nupgrade: b\r\n",
)


def test_the_body_of_a_request_that_offers_another_protocol_is_its_body(served: Served) -> None:
    port = served.listening()["port"]
    inner = b"GET /inner HTTP/1.1\r\nhost: x\r\n\r\n"
    bodies = {
        b"content-length: %d\r\n" % len(inner): inner,
        b"transfer-encoding: chunked\r\n": b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner),
    }
    following = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    for offer, (framing, body), cut in itertools.product(OFFERS, bodies.items(), (0, 30, len(inner))):
        request = b"POST /echo HTTP/1.1\r\nhost: x\r\n" + framing + offer + b"\r\n"
        received = exchange(port, request + body[:cut], body[cut:] + following, end=b"done")
        assert received.count(b"HTTP/1.1 200 OK") == 2, (offer, framing, cut, received)
        assert b"<" + inner + b">" in received, (offer, framing, cut, received)


def test_there_is_no_way_through_to_other_hosts(served: Served) -> None:
    request = b"CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\n\r\n"
    assert exchange(served.listening()["port"], request, end=b"\0").startswith(b"HTTP/1.1 400 ")


def is_closed(
    port: int, start: bytes, piece: bytes, pause: float, seconds: float = 30.0
) -> tuple[bool, bytes]:
    """Whether a connection on which `piece` is sent again and again is closed; and what came back."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(start)
        connection.settimeout(0.01)
        received, deadline = b"", time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                connection.sendall(piece)
                if not (data := connection.recv(10_000)):
                    return True, received
                received += data
            except TimeoutError:
                time.sleep(pause)
            except OSError:
                return True, received
    return False, received


POST = b"POST %s HTTP/1.1\r\nhost: x\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def brief(tmp_path: Path) -> Iterator[Served]:
    """Keeps connections for a short while."""
    with running(tmp_path / "log", KEEP_ALIVE_SECONDS="2") as found:
        yield found


def test_a_body_that_nobody_waits_for_any_more_does_not_hold_the_connection(brief: Served) -> None:
    port = brief.listening()["port"]
    closed, received = is_closed(port, POST % b"/" + b"content-length: 1000000\r\n\r\n", b"x", 0.1)
    assert closed
    assert received.endswith(b"done")


def test_blank_lines_do_not_hold_the_connection(brief: Served) -> None:
    port = brief.listening()["port"]
    closed, received = is_closed(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n", 0.1)
    assert closed
    assert received.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"2\r\n{}\r\n0\r\n", b"x-a: " + b"y" * 5000 + b"\r\n"),
        (b"2\r\n{}\r\n0\r\nx-a: ", b"y" * 5000),
        (b"2;a=", b"y" * 5000),
        (b"", b"1;a=" + b"y" * 100 + b"\r\nx\r\n"),
    ],
)
def test_what_surrounds_chunks_is_bounded(served: Served, start: bytes, piece: bytes) -> None:
    port = served.listening()["port"]
    closed, received = is_closed(port, CHUNKED % b"/echo" + start, piece, 0)
    assert closed
    assert b"HTTP/1.1 200" not in received
    closed, received = is_closed(port, CHUNKED % b"/" + start, piece, 0)
    assert closed
    assert received.count(b"HTTP/1.1") == 1, "nothing comes after an answer"


def test_small_chunks_and_trailers_are_fine(served: Served) -> None:
    chunks = b"1\r\nx\r\n" * 100_000 + b"0\r\nx-digest: abc\r\n\r\n"
    following = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    received = exchange(served.listening()["port"], CHUNKED % b"/echo" + chunks + following, end=b"done")
    assert b"<" + b"x" * 100_000 + b">" in received
    assert received.count(b"HTTP/1.1 200 OK") == 2


def test_who_is_turned_away_at_the_door_may_send_the_next_request(served: Served) -> None:
    port = served.listening()["port"]
    busy = b"POST /busy HTTP/1.1\r\nhost: x\r\n"
    following = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nok"
    bodies = {
        b"content-length: 6\r\n\r\n": (b"ab", b"cdef"),
        b"transfer-encoding: chunked\r\n\r\n": (b"2\r\nab\r\n", b"4\r\ncdef\r\n0\r\n\r\n"),
        b"\r\n": (b"", b""),
    }
    for framing, (start, rest) in bodies.items():
        received = exchange(port, busy + framing + start, rest + following, end=b">")
        assert received.startswith(b"HTTP/1.1 503 Busy\r\n"), (framing, received)
        assert received.count(b"HTTP/1.1 ") == 2, (framing, received)
        assert b"busyHTTP/1.1 200 OK\r\n" in received, (framing, received)
        assert received.endswith(b"<ok>"), (framing, received)


def test_a_connection_that_is_not_kept_ends_at_the_door(served: Served) -> None:
    request = b"GET /busy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    assert exchange(served.listening()["port"], request, end=b"\0").endswith(b"busy")


def test_who_waits_behind_another_request_has_passed_the_door(served: Served) -> None:
    both = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\nGET /busy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    received = exchange(served.listening()["port"], both, end=b"\0")
    assert received.count(b"HTTP/1.1 200 OK") == 2, received
