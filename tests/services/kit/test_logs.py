"""Log lines are JSON, whoever writes them."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from services.kit.logs import bind_request, configure_logging, get_logger, trace_fields

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logging("demo", "info", stream)
    yield stream
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def lines(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_line_has_time_level_service_and_what_was_said(output: io.StringIO) -> None:
    get_logger().info("it\nhappened", count=3, path=logging)
    (line,) = lines(output)
    assert line.pop("time").endswith("Z")
    assert "module" in line.pop("path")
    assert line == {"level": "info", "service": "demo", "event": "it\nhappened", "count": 3}


def test_the_requests_identity_is_on_every_line(output: io.StringIO) -> None:
    bind_request("r-1", user="ada", traceparent=TRACEPARENT)
    get_logger().info("one")
    logging.getLogger("some.library").warning("two %s", "x")
    for line in lines(output):
        assert (line["request_id"], line["user"]) == ("r-1", "ada")
        assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
        assert line["span_id"] == "b7ad6b7169203331"
    assert lines(output)[1]["event"] == "two x"
    assert lines(output)[1]["logger"] == "some.library"


@pytest.mark.parametrize("text", [None, "", "00-short-b7ad6b7169203331-01", "nonsense", "-" * 60])
def test_malformed_trace_context_is_left_out(text: str | None) -> None:
    assert trace_fields(text) == {}


def test_errors_carry_type_message_and_stack(output: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError("broken")

    for log in (get_logger(), logging.getLogger("library")):
        try:
            fail()
        except ValueError:
            log.exception("failed")
    for line in lines(output):
        assert line["level"] == "error"
        assert (line["error"]["type"], line["error"]["message"]) == ("ValueError", "broken")
        assert "test_logs.py" in line["error"]["stack"]


def test_levels(output: io.StringIO) -> None:
    get_logger().debug("no")
    logging.getLogger("library").debug("no")
    get_logger().warning("yes")
    assert [line["event"] for line in lines(output)] == ["yes"]


def test_warnings_are_lines_too(output: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("careful", UserWarning, stacklevel=1)
    assert "careful" in lines(output)[0]["event"]
