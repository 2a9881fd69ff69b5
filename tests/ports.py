"""Ports of this machine for programs that must be told one."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A port that nobody else gets for a minute: the kernel hands out none that a connection has just used.

    Whoever asks for this very one gets it, as servers do (`SO_REUSEADDR`).
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            served, _ = listener.accept()
            served.close()  # who closes first is the one that remembers the connection
            client.recv(1)
    return port
