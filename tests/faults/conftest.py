"""What faults are made of: gateways as processes, and servers and proxies that break."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.faults.backend import Backend
from tests.faults.proxy import Proxy
from tests.services.gateway.conftest import launcher, redis_server, tokens

__all__ = ["launcher", "redis_server", "tokens"]


@pytest.fixture
def backend() -> Iterator[Callable[..., Backend]]:
    """Makes servers."""
    made: list[Backend] = []

    def make(behaviour: str = "ok", *, read_only: bool = False) -> Backend:
        made.append(Backend(behaviour, read_only=read_only))
        return made[-1]

    yield make
    for it in made:
        it.close()


@pytest.fixture
def proxy() -> Iterator[Callable[[int], Proxy]]:
    """Makes proxies in front of a port."""
    made: list[Proxy] = []

    def make(port: int) -> Proxy:
        made.append(Proxy(port))
        return made[-1]

    yield make
    for it in made:
        it.close()
