"""Broken HTTP against a gateway that runs as a process: it refuses, goes on, and keeps its memory."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.strategies import POISON, bodies, messages
from tests.fuzz.wire import END_SECONDS, PING, check, request, talk
from tests.services.gateway.conftest import Gateway, Launcher

CHUNKED: Final = b"Transfer-Encoding: chunked"
SECOND: Final = request(b'{"jsonrpc":"2.0","id":"second","method":"ping"}')
WHOLE: Final = b"%x\r\n%s\r\n0\r\n\r\n" % (len(PING), PING)
MEBIBYTE: Final = 1024 * 1024


@pytest.fixture(scope="module")
def served(shared: Launcher, odd: str) -> Gateway:
    upstream = {"breaker": {"min_calls": 1_000_000}, "timeout_seconds": 5}
    return shared.gateway({"auth": "none", "servers": [{"name": "odd", "urls": [odd]}], "upstream": upstream})


def port_of(gateway: Gateway) -> int:
    return int(gateway.url.rsplit(":", 1)[1])


def resident(gateway: Gateway) -> int:
    """Bytes of memory that the process has now."""
    pages = Path(f"/proc/{gateway.process.popen.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def assert_well(gateway: Gateway) -> None:
    """It is the same process, it answers, and it has logged no fault of its own."""
    assert gateway.process.popen.poll() is None, gateway.process.log.read_text()[-5000:]
    assert gateway.legacy("ping").json()["result"] == {}
    faults = [line for line in gateway.process.lines() if line["level"] in {"error", "critical"}]
    assert not faults, faults
    assert "Traceback" not in gateway.process.log.read_text()


AMBIGUOUS = {
    "length and chunks": request(WHOLE, b"Content-Length: %d" % len(PING), CHUNKED, length=False),
    "chunks and length": request(WHOLE, CHUNKED, b"Content-Length: %d" % len(PING), length=False),
    "two lengths": request(PING, b"Content-Length: 5"),
    "the same length twice": request(PING, b"Content-Length: %d" % len(PING)),
    "a list of lengths": request(PING, b"Content-Length: 40, 40", length=False),
    "a negative length": request(PING, b"Content-Length: -1", length=False),
    "a length with a sign": request(PING, b"Content-Length: +40", length=False),
    "a length in hex": request(PING, b"Content-Length: 0x28", length=False),
    "a length beyond all numbers": request(PING, b"Content-Length: " + b"9" * 40, length=False),
    "no length": request(PING, b"Content-Length:", length=False),
    "two encodings": request(WHOLE, b"Transfer-Encoding: identity", CHUNKED, length=False),
    "an unknown encoding": request(WHOLE, b"Transfer-Encoding: xchunked", length=False),
    "chunks that aren't last": request(WHOLE, b"Transfer-Encoding: chunked, identity", length=False),
    "a blank before the colon": request(WHOLE, b"Transfer-Encoding : chunked", length=False),
    "a control character": request(WHOLE, b"Transfer-Encoding: \x0bchunked", length=False),
    "a chunk beyond all numbers": request(b"F" * 20 + b"\r\n" + PING, CHUNKED, length=False),
    "a negative chunk": request(b"-1\r\n" + PING, CHUNKED, length=False),
    "a chunk of no number": request(b"zz\r\n" + PING, CHUNKED, length=False),
    "a chunk that goes on": request(WHOLE.replace(b"}\r\n", b"}}\r\n"), CHUNKED, length=False),
    "lines without returns": request(PING).replace(b"\r\n", b"\n"),
    "chunks without returns": request(WHOLE.replace(b"\r\n", b"\n"), CHUNKED, length=False),
    "a folded line": request(PING, b"X-Folded: a\r\n b"),
    "a NUL": request(PING, b"X-Nul: a\0b"),
    "a blank in a name": request(PING, b"X y: a"),
    "no colon": request(PING, b"X"),
}


@pytest.mark.parametrize("sent", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_two_readers_could_read_differently_is_refused(served: Gateway, sent: bytes) -> None:
    """So that nothing is smuggled past a proxy in front of us: a refusal, and nothing after it is read."""
    received = talk(port_of(served), sent, SECOND, until=2, seconds=END_SECONDS)
    assert ([response.status for response in received.responses], received.closed) == ([400], True)
    check(received, sent)


LINES = (
    b"GET /mcp\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    request(PING, start=b"POST /mcp HTTP/9.9"),
    request(PING, start=b"post /mcp HTTP/1.1"),
    request(PING, start=b"POST  /mcp HTTP/1.1"),
    request(PING, start=b"POST /\xff HTTP/1.1"),
    request(PING, start=b"POST /%zz%ff HTTP/1.1"),
    request(PING, start=b"POST /%00 HTTP/1.1"),
    request(PING, start=b"POST //[ HTTP/1.1"),
    request(PING, start=b"POST http://:99999/ HTTP/1.1"),
    request(start=b"OPTIONS * HTTP/1.1"),
    request(start=b"CONNECT localhost:80 HTTP/1.1"),
    request(start=b"GET /%s HTTP/1.1" % (b"x" * 70_000)),
    request(PING, b"X: %s" % (b"x" * 70_000)),
    request(PING, *[b"X-%d: x" % number for number in range(10_000)]),
    request(PING, b"Upgrade: h2c", b"Connection: Upgrade"),
    request(PING, b"Expect: 100-continue"),
    b"\r\n" * 100,
    b"\0" * 100,
)


@pytest.mark.parametrize("sent", LINES, ids=lambda it: repr(it[:40]))
def test_heads_that_are_hardly_http(served: Gateway, sent: bytes) -> None:
    check(talk(port_of(served), sent), sent)
    assert_well(served)


def test_pipelined_requests_are_answered_in_order(served: Gateway) -> None:
    message = b'{"jsonrpc":"2.0","id":%d,"method":"ping"}'
    sent = b"".join(request(message % number) for number in range(500))
    received = talk(port_of(served), sent, until=500, seconds=END_SECONDS)
    check(received, sent)
    assert [response.body for response in received.responses] == [
        b'{"jsonrpc":"2.0","id":%d,"result":{}}' % number for number in range(500)
    ]


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """Some requests on one connection, framed one way or another, spoilt here and there, cut anywhere."""
    parts: list[bytes] = []
    for _ in range(draw(st.integers(1, 3))):
        body = draw(st.one_of(st.just(PING), messages().flatmap(lambda it: bodies(it[0]))))
        if draw(st.booleans()):
            parts.append(request(body))
        else:
            size = draw(st.integers(1, 60))
            pieces = [body[start : start + size] for start in range(0, len(body), size)]
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
            parts.append(request(chunks + b"0\r\n\r\n", CHUNKED, length=False))
    whole = b"".join(parts)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(whole)))
        whole = whole[:at] + draw(st.sampled_from(POISON)) + whole[at + draw(st.integers(0, 3)) :]
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(whole) - 1)), max_size=3)))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


@given(pieces=conversations())
def test_spoilt_requests_are_refused_and_the_process_goes_on(served: Gateway, pieces: list[bytes]) -> None:
    sent = b"".join(pieces)
    check(talk(port_of(served), *pieces, seconds=0.05), sent)
    assert served.process.popen.poll() is None


@given(noise=st.binary(max_size=300))
def test_noise(served: Gateway, noise: bytes) -> None:
    check(talk(port_of(served), noise, seconds=0.02), noise)
    assert served.process.popen.poll() is None


def test_after_all_that_it_is_well(served: Gateway) -> None:
    assert_well(served)


def test_junk_costs_no_memory(served: Gateway) -> None:
    """10,000 requests that are nothing, each with names of its own, leave nothing behind."""

    def junk(rounds: range) -> None:
        for number in rounds:
            with socket.create_connection(("127.0.0.1", port_of(served)), timeout=END_SECONDS) as connection:
                for turn in range(100):
                    unique = b"%d-%d" % (number, turn)
                    body = b'{"jsonrpc":"2.0","id":"%s","method":"tools/call","params":{"name":"no__%s"}}' % (
                        unique,
                        unique * 50,
                    )
                    if turn % 3 == 0:
                        body = b'{"jsonrpc":"2.0","id":"%s' % unique
                    connection.sendall(request(body, b"Mcp-Session-Id: " + unique, b"X-%s: x" % unique))
                    received = b""
                    while not received.endswith(b"}"):
                        received += connection.recv(65536)

    junk(range(20))
    before = resident(served)
    junk(range(20, 120))
    assert resident(served) < before + 8 * MEBIBYTE
    assert_well(served)
