"""A caller that leaves takes along the work that servers do for it, whatever its revision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.services.gateway.leaving import HANDSHAKE, STATELESS, Odd, send

if TYPE_CHECKING:
    from conftest import Gateway, Launcher

ERAS = pytest.mark.parametrize("era", [STATELESS, HANDSHAKE])


@pytest.fixture
def odds(launcher: Launcher) -> list[Odd]:
    return [Odd(launcher), Odd(launcher)]


def before(launcher: Launcher, urls: list[str]) -> Gateway:
    servers = [{"name": f"odd{number}", "urls": [url]} for number, url in enumerate(urls)]
    # By nothing but the caller's leaving does anything end here.
    upstream = {"timeout_seconds": 200, "list_seconds": 200}
    return launcher.gateway({"auth": "none", "servers": servers, "upstream": upstream})


def wait_for_the_end(gateway: Gateway, odds: list[Odd]) -> None:
    """Until each of the servers has seen it, and the gateway has nothing left of it."""
    for number, odd in enumerate(odds):
        gateway.wait_for(lambda it=odd: it.saw("cancelled") == 1, "cancellation")
        in_flight = f'mcp_gateway_upstream_in_flight{{server="odd{number}"}}'
        gateway.wait_for(lambda line=in_flight: gateway.metric(line) == 0, "the end of abandoned work")
    (line,) = gateway.wait_for(lambda: gateway.logged("request"), "the request's line")
    assert (line["status"], line["outcome"]) == (499, "client_gone")


@ERAS
def test_a_call_ends_at_the_server(launcher: Launcher, odds: list[Odd], era: str) -> None:
    gateway = before(launcher, [odds[0].url])
    with send(gateway, era, "tools/call", {"name": "odd0__hang"}):
        gateway.wait_for(lambda: odds[0].saw("hang") == 1, "the call at the server")
        assert odds[0].saw("cancelled") == 0
    wait_for_the_end(gateway, odds[:1])
    assert gateway.metric('mcp_tool_errors_total{error_type="cancelled",server="odd0",tool="hang"}') == 1


@ERAS
def test_a_call_whose_answer_is_a_stream_ends_at_the_server(
    launcher: Launcher, odds: list[Odd], era: str
) -> None:
    gateway = before(launcher, [odds[0].url])
    params: dict[str, Any] = {"name": "odd0__endless_stream", "_meta": {"progressToken": "p"}}
    with send(gateway, era, "tools/call", params) as connection:
        received = b""
        while received.count(b"notifications/progress") < 2:
            data = connection.recv(65536)
            assert data, received
            received += data
        assert b"text/event-stream" in received
        assert odds[0].saw("cancelled") == 0
    wait_for_the_end(gateway, odds[:1])


@ERAS
def test_a_list_ends_at_every_server(launcher: Launcher, odds: list[Odd], era: str) -> None:
    gateway = before(launcher, [odd.hanging_url for odd in odds])
    with send(gateway, era, "tools/list", {}):
        for odd in odds:
            gateway.wait_for(lambda it=odd: it.saw("hang") == 1, "the list at the server")
            assert odd.saw("cancelled") == 0
    wait_for_the_end(gateway, odds)
