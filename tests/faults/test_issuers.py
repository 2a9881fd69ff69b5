"""Issuers that change their keys, hang or are away, under load: who has a good token doesn't notice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.faults.backend import Backend
from tests.faults.history import Outcome
from tests.faults.load import Load, Plan
from tests.services.gateway.attacks import AUDIENCE, ISSUER, Site, ask, published, token_of
from tests.services.gateway.conftest import Gateway, Launcher

REFRESH_SECONDS = 0.2


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    yield found
    found.close()


def trusting(
    launcher: Launcher, server: Backend, site: Site, kind: str, folder: Path, **keeping: float
) -> Gateway:
    """A gateway that gets the keys from the issuer's site, or as if it were a cluster's API."""
    times = {"refresh_seconds": REFRESH_SECONDS, **keeping}
    issuer: dict[str, Any] = {"issuer": ISSUER, "jwks": {"uri": f"{site.url}/keys", **times}}
    if kind == "kubernetes":
        (folder / "token").write_text("the gateway's own")
        own = {"api_url": site.url, "token_file": str(folder / "token"), **times}
        issuer = {"issuer": ISSUER, "kubernetes": own}
    auth = {"audience": AUDIENCE, "issuers": [issuer]}
    return launcher.gateway({"auth": auth, "servers": [{"name": "good", "urls": [server.url]}]})


def status(gateway: Gateway, token: str) -> int:
    return ask(gateway, "stateless", "server/discover", {}, token).status_code


def both(one: Any, other: Any) -> bytes:
    return published(one, kid="one")[:-2] + b"," + published(other, kid="two").partition(b"[")[2]


@pytest.mark.parametrize("kind", ["jwks", "kubernetes"])
def test_a_change_of_keys_refuses_no_good_token(
    launcher: Launcher, backend: Callable[..., Backend], site: Site, tmp_path: Path, kind: str
) -> None:
    old, new = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    site.body = published(old, kid="one")
    gateway = trusting(launcher, backend(), site, kind, tmp_path)
    old_token, new_token = token_of(old, kid="one"), token_of(new, kid="two")
    gateway.wait_for(lambda: status(gateway, old_token) == 200, "the first keys")
    assert status(gateway, new_token) == 401
    headers = {"Authorization": f"Bearer {old_token}"}
    with Load([Plan(tool="good__echo", urls=[gateway.url], headers=headers) for _ in range(4)]) as load:
        load.wait_for(50)
        site.body = both(old, new)
        gateway.wait_for(lambda: status(gateway, new_token) == 200, "the new key")
        load.wait_for(50)
        site.body = published(new, kid="two")
        load.wait_for(20, outcome=Outcome.FAIL)
        withdrawn = time.monotonic()
        load.wait_for(20, outcome=Outcome.FAIL)
        assert status(gateway, new_token) == 200
    load.history.check(within=30, allowed={"fail 401"})
    assert load.history.since(withdrawn).count(Outcome.OK) == 0, "a key that was withdrawn opens nothing"
    first_refusal = min(it.began for it in load.history.entries if it.outcome is Outcome.FAIL)
    assert load.history.before(first_refusal).count(Outcome.FAIL) == 0


def test_an_issuer_that_hangs_or_is_away_is_missed_by_nobody(
    launcher: Launcher, backend: Callable[..., Backend], site: Site, tmp_path: Path
) -> None:
    key, unknown = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    site.body = published(key, kid="one")
    gateway = trusting(launcher, backend(), site, "jwks", tmp_path, keep_seconds=3600)
    token = token_of(key, kid="one")
    gateway.wait_for(lambda: status(gateway, token) == 200, "keys")
    headers = {"Authorization": f"Bearer {token}"}
    with Load([Plan(tool="good__echo", urls=[gateway.url], headers=headers) for _ in range(4)]) as load:
        load.wait_for(50)
        for site.status, site.delay in ((503, 0.0), (200, 20.0)):
            before = len(site.visits)
            gateway.wait_for(lambda now=before: len(site.visits) > now, "a fetch that fails")
            load.wait_for(50)
            # Strangers' tokens make it ask for keys, which nobody else waits for.
            strangers = [
                threading.Thread(target=status, args=(gateway, token_of(unknown, kid="two")))
                for _ in range(5)
            ]
            for stranger in strangers:
                stranger.start()
            load.wait_for(50)
            for stranger in strangers:
                stranger.join()
    load.history.check(within=30)


def test_keys_are_kept_for_as_long_as_is_set(
    launcher: Launcher, backend: Callable[..., Backend], site: Site, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    site.body = published(key, kid="one")
    gateway = trusting(launcher, backend(), site, "jwks", tmp_path, keep_seconds=4)
    token = token_of(key, kid="one")
    gateway.wait_for(lambda: status(gateway, token) == 200, "keys")
    site.status = 503
    headers = {"Authorization": f"Bearer {token}"}
    with Load([Plan(tool="good__echo", urls=[gateway.url], headers=headers)]) as load:
        load.wait_for(10)
        load.wait_for(5, outcome=Outcome.FAIL)
        site.status = 200
        load.wait_for(10)
    load.history.check(within=30, allowed={"fail 503"})


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_an_issuer_that_is_away_for_ten_minutes(
    launcher: Launcher, backend: Callable[..., Backend], site: Site, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    site.body = published(key, kid="one")
    gateway = trusting(launcher, backend(), site, "jwks", tmp_path, keep_seconds=3600)
    gateway.wait_for(lambda: status(gateway, token_of(key, kid="one")) == 200, "keys")
    site.status = 503
    ending = time.monotonic() + 600
    while time.monotonic() < ending:
        assert status(gateway, token_of(key, kid="one")) == 200
        time.sleep(5)
