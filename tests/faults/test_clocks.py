"""Clocks that are wrong: a token is worth exactly as long as the gateway's own clock and its leeway say."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.cluster import packages
from services.kit.tokens.verifier import LEEWAY_SECONDS
from tests.faults.backend import Backend
from tests.services.gateway.attacks import ask
from tests.services.gateway.conftest import Gateway, Launcher, Tokens

SKEW = 300
MARGIN = 60
"""What a busy machine may need between making a token and looking at it."""


def fake_clock() -> str:
    """The library that shifts a process's clock; installed where it is missing and we may."""
    packages.ensure({"faketime": ["faketime"]}, print, "this test")
    return str(next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")))


class Skewed:
    """A gateway whose clock goes by a file."""

    def __init__(self, launcher: Launcher, server: Backend, tokens: Tokens, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        self.gateway: Gateway = launcher.gateway(
            {"auth": tokens.auth, "servers": [{"name": "good", "urls": [server.url]}]},
            LD_PRELOAD=fake_clock(),
            FAKETIME_TIMESTAMP_FILE=str(self._file),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )

    def set(self, seconds: int) -> None:
        """Put the clock so far ahead of ours."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}s\n")
        new.rename(self._file)

    def status(self, token: str) -> int:
        return ask(self.gateway, "stateless", "server/discover", {}, token).status_code

    def refusals(self, why: str) -> float:
        return self.gateway.metric(f'mcp_security_violations_total{{reason="token_{why}"}}')


@pytest.fixture
def skewed(launcher: Launcher, backend: Callable[..., Backend], tokens: Tokens, tmp_path: Path) -> Skewed:
    return Skewed(launcher, backend(), tokens, tmp_path)


def lasting(tokens: Tokens, began: int, seconds: int) -> str:
    """A token that is valid from `began` on, by a right clock."""
    now = int(time.time())
    return tokens.make(iat=now + began, nbf=now + began, exp=now + began + seconds)


def test_a_gateway_that_is_late_refuses_what_is_not_valid_yet(skewed: Skewed, tokens: Tokens) -> None:
    skewed.set(-SKEW)
    assert skewed.status(lasting(tokens, 0, 3600)) == 401
    assert skewed.refusals("not_yet_valid") == 1
    assert skewed.status(lasting(tokens, -SKEW - MARGIN, 3600)) == 200


def test_a_gateway_that_is_ahead_refuses_what_has_ended_for_it(skewed: Skewed, tokens: Tokens) -> None:
    skewed.set(SKEW)
    assert skewed.status(lasting(tokens, -10, SKEW - MARGIN)) == 401
    assert skewed.refusals("expired") == 1
    assert skewed.status(lasting(tokens, -10, SKEW + 2 * MARGIN)) == 200


def test_the_leeway_is_what_is_stated_and_no_more(skewed: Skewed, tokens: Tokens) -> None:
    assert LEEWAY_SECONDS == 5
    skewed.set(-LEEWAY_SECONDS + 1)
    assert skewed.status(lasting(tokens, 0, 3600)) == 200, "within the leeway it may be late"
    skewed.set(-LEEWAY_SECONDS - MARGIN)
    assert skewed.status(lasting(tokens, 0, 3600)) == 401, "beyond it may not"
    skewed.set(LEEWAY_SECONDS + MARGIN)
    assert skewed.status(lasting(tokens, -10, 10)) == 401


def test_a_clock_that_jumps_ends_tokens_that_were_known(skewed: Skewed, tokens: Tokens) -> None:
    token = lasting(tokens, -10, SKEW)
    assert [skewed.status(token) for _ in range(3)] == [200] * 3
    skewed.set(2 * SKEW)
    assert skewed.status(token) == 401, "that it was good before is no reason"
    skewed.set(0)
    assert skewed.status(token) == 200
