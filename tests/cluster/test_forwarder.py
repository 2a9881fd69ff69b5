from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

SECONDS = 60


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@pytest.fixture
def forwarded() -> Iterator[tuple[socket.socket, int]]:
    """A server socket, and the port of a forwarder in front of it."""
    with ExitStack() as stack:
        server, entrance = stack.enter_context(listening()), stack.enter_context(listening())
        server.settimeout(SECONDS)
        route = f"{entrance.fileno()}=127.0.0.1:{server.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.cluster.forwarder", route], pass_fds=[entrance.fileno()]
        )
        try:
            yield server, entrance.getsockname()[1]
        finally:
            process.terminate()
            process.wait()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def receive_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_both_directions_and_half_closed_connections(forwarded: tuple[socket.socket, int]) -> None:
    server, port = forwarded
    with connect(port) as client:
        with closing(server.accept()[0]) as served:
            served.settimeout(SECONDS)
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            assert receive_all(served) == b"question"
            served.sendall(b"answer")
        assert receive_all(client) == b"answer"


def test_much_data_arrives_whole(forwarded: tuple[socket.socket, int]) -> None:
    server, port = forwarded
    data = bytes(range(256)) * 32768  # 8 MiB, far more than the sockets' buffers
    with connect(port) as client:
        sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        sender.start()
        with closing(server.accept()[0]) as served:
            served.settimeout(SECONDS)
            assert receive_all(served) == data
        sender.join()


def test_a_reset_on_one_side_ends_the_other(forwarded: tuple[socket.socket, int]) -> None:
    server, port = forwarded
    with connect(port) as client:
        served = server.accept()[0]
        served.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        served.close()
        assert receive_all(client) == b""


def test_a_node_that_does_not_answer_closes_the_connection(forwarded: tuple[socket.socket, int]) -> None:
    server, port = forwarded
    server.close()
    with connect(port) as client:
        assert receive_all(client) == b""
    with connect(port) as client:  # and the forwarder lives on
        assert receive_all(client) == b""
