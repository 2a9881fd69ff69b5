"""The benchmark's parts that need no load: messages, the command line, the generator's words and result."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.gateway.__main__ import main
from bench.gateway.generator import SOURCES, Generator, Load, build, parse_result
from bench.gateway.messages import PROTOCOL, SEQUENCE, call, initialize, junk, tools_list
from bench.gateway.processes import Process, parse_cpu_ticks, parse_proportional_kib
from infra.cluster.golang import find_go
from infra.cluster.spec import home
from infra.errors import PlatformError


def silent(_line: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def generator() -> Generator:
    return build(silent)


SPINNER = """
import time
memory = bytearray(64 << 20)
while time.process_time() < 0.3:
    pass
print("ready")
time.sleep(60)
"""


class Echo(BaseHTTPRequestHandler):
    """Answers with the body; with 401 when there is no token."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if self.headers["Authorization"] == "Bearer secret" else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


@pytest.fixture
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/mcp"
        server.shutdown()
        thread.join()


def test_the_generator_passes_its_own_tests() -> None:
    done = subprocess.run(
        [str(find_go(home(), silent)), "test", "./..."],
        cwd=SOURCES,
        env={**os.environ, "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_call_is_counted(generator: Generator, echo: str) -> None:
    seen = generator.run(echo, call("echo"), Load(connections=3, count=60, seconds=20), token="secret")
    assert (seen.sent, seen.good, seen.failed, seen.statuses) == (60, 60, 0, {"200": 60})
    assert seen.latency_ms is not None
    assert 0 < seen.latency_ms.p50 <= seen.latency_ms.p95 <= seen.latency_ms.max


def test_refused_calls_are_failures(generator: Generator, echo: str) -> None:
    seen = generator.run(echo, call("echo"), Load(connections=1, rate=10, seconds=2))
    assert (seen.good, seen.latency_ms, seen.rate) == (0, None, 10)
    assert seen.errors == {"status 401": seen.sent}
    assert seen.failed + seen.unsent == 20


def test_load_goes_to_this_machine_only(generator: Generator) -> None:
    with pytest.raises(PlatformError, match="loopback"):
        generator.run("http://192.0.2.1:80/mcp", call("echo"), Load(connections=1, count=1))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"latency_ms": null, "refused_ms": {"p50": 1}}'])
def test_a_result_of_another_shape_is_an_error(text: str) -> None:
    with pytest.raises(PlatformError, match="can't be read"):
        parse_result(text)


def test_options_that_are_not_set_are_the_generators_own() -> None:
    assert Load(4).arguments() == ["-connections", "4", "-seconds", "60"]
    words = Load(4, count=9, rate=2.5, seconds=3, reconnect=True).arguments()
    assert words == ["-connections", "4", "-seconds", "3", "-count", "9", "-rate", "2.5", "-reconnect"]


def test_headers_repeat_the_body() -> None:
    message = call("bare__echo")
    body = json.loads(message.body)
    assert message.headers["Mcp-Name"] == body["params"]["name"] == "bare__echo"
    assert message.headers["Mcp-Method"] == body["method"] == "tools/call"
    assert body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == PROTOCOL
    assert SEQUENCE in body["params"]["arguments"]["text"]
    assert "Mcp-Name" not in tools_list("echo-9").headers
    assert "MCP-Protocol-Version" not in initialize().headers


def test_junk_is_of_several_kinds() -> None:
    with pytest.raises(ValueError, match="codec"):
        json.loads(junk()["no JSON"].body)
    assert len({message.body for message in junk().values()}) == len(junk())


def test_cpu_time_is_found_behind_any_name() -> None:
    fields = ["S", *["0"] * 10, "120", "30", "7", "7"]
    assert parse_cpu_ticks(f"42 (a) b (c)) {' '.join(fields)}") == 150


def test_memory_is_found_among_other_lines() -> None:
    assert parse_proportional_kib("7f00-7fff ---p\nRss: 9 kB\nPss:   1234 kB\nPss_Anon: 5 kB\n") == 1234
    assert parse_proportional_kib("") == 0


def test_a_process_is_measured_and_ended(tmp_path: Path) -> None:
    process = Process("spinner", [sys.executable, "-u", "-c", SPINNER], tmp_path / "log")
    try:
        process.wait_until(lambda: "ready" in process.log.read_text())
        assert process.cpu_seconds() >= 0.29
        assert process.resident_mib() > 64
        assert process.proportional_mib() > 64
    finally:
        process.stop()
    assert process.resident_mib() == 0


def test_a_process_that_ends_too_early_says_why(tmp_path: Path) -> None:
    process = Process("broken", [sys.executable, "-c", "raise SystemExit('no luck')"], tmp_path / "log")
    with pytest.raises(PlatformError, match=r"broken ended with status 1(?s:.*)no luck"):
        process.wait_until(lambda: False)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--with", "nothing"),
        ("--sustain", "1000"),
        ("--sustain", "0:5"),
        ("--rates", "5,x"),
        ("--overload", "3:nan"),
    ],
)
def test_wrong_options_are_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([option, value])
    assert ended.value.code == 2
    assert f"argument {option}" in capsys.readouterr().err
