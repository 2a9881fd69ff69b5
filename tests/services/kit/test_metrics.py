"""Tool metrics: names, labels, and what counts as which error."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from services.kit.metrics import ErrorType, KnownNames, ToolMetrics


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_a_call_that_went_well() -> None:
    registry = CollectorRegistry()
    with ToolMetrics(registry).call("files", "read"):
        assert value(registry, "mcp_tool_calls_in_flight", server="files") == 1
    assert value(registry, "mcp_tool_calls_in_flight", server="files") == 0
    assert value(registry, "mcp_tool_calls_total", server="files", tool="read", status="ok") == 1
    assert value(registry, "mcp_tool_duration_seconds_count", server="files", tool="read") == 1
    assert b"mcp_tool_errors_total{" not in generate_latest(registry)


def test_a_call_that_failed_says_why() -> None:
    registry = CollectorRegistry()
    with ToolMetrics(registry).call("files", "read") as call:
        call.failed(ErrorType.TIMEOUT)
    assert value(registry, "mcp_tool_calls_total", server="files", tool="read", status="error") == 1
    assert value(registry, "mcp_tool_errors_total", server="files", tool="read", error_type="timeout") == 1


@pytest.mark.parametrize(("error", "kind"), [(asyncio.CancelledError, "cancelled"), (KeyError, "internal")])
def test_exceptions_count(error: type[BaseException], kind: str) -> None:
    registry = CollectorRegistry()
    with pytest.raises(error), ToolMetrics(registry).call("files", "read"):
        raise error
    assert value(registry, "mcp_tool_errors_total", server="files", tool="read", error_type=kind) == 1


def test_names_become_labels_only_when_known() -> None:
    names = KnownNames(limit=2)
    assert names.label("a__x") == "other"
    for name in ("a__x", "a__y", "a__z"):
        names.admit(name)
    assert names.label("a__x") == "a__x"
    assert names.label("a__x", "x") == "x"
    assert names.label("a__z") == "other"
