"""Discovery in Kubernetes: list, then watch, the EndpointSlices of labelled Services.

Needs `get`, `list` and `watch` on `endpointslices.discovery.k8s.io` in one namespace. While the API is away,
the last known endpoints stay: the servers are most likely still there.
"""

import asyncio
import os
import random
import ssl
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import msgspec
from prometheus_client import Counter

from services.gateway.config import KubernetesDiscovery as Settings
from services.gateway.discovery.endpoint_slices import (
    EndpointSlice,
    EndpointSliceList,
    Status,
    WatchEvent,
    fleet_of,
    services_of,
)
from services.gateway.discovery.introduction import Introductions
from services.gateway.fleet import Fleet
from services.kit.conventions import SERVER_LABEL
from services.kit.logs import get_logger

WATCH_SECONDS: Final = 60
"""The API ends a watch after this; short, so that a connection that died silently is noticed soon."""
SILENCE_SECONDS: Final = WATCH_SECONDS + 15
PAGE: Final = 500
BACKOFF_SECONDS: Final = (0.2, 15.0)
"""First and longest wait after a failure; doubled each time, with jitter."""
MAX_LINE_BYTES: Final = 4 * 1024 * 1024
GONE: Final = 410


class _ExpiredError(Exception):
    """The resource version is too old to watch from; list again."""


class _ApiError(Exception):
    """The API's answer isn't usable; the message says why."""


class KubernetesDiscovery:
    """Keeps the fleet equal to the namespace's labelled EndpointSlices."""

    def __init__(self, settings: Settings, fleet: Fleet, errors: Counter) -> None:
        self._settings = settings
        self._fleet = fleet
        self._errors = errors
        self._slices: dict[str, EndpointSlice] = {}
        self._version: str | None = None
        self._synced = False
        self._introductions = Introductions(fleet)
        base = settings.api_url or in_cluster_url()
        self._url = f"{base}/apis/discovery.k8s.io/v1/namespaces/{settings.namespace}/endpointslices"

    def problem(self) -> str | None:
        """Until the first list succeeded."""
        return None if self._synced else "the Kubernetes API hasn't answered yet"

    async def run(self) -> None:
        """List and watch, and ask what is new for its version, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._introductions.run())

    async def _follow(self) -> None:
        failures = 0
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE_SECONDS)
        connector = aiohttp.TCPConnector(ssl=self._tls())
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, read_bufsize=MAX_LINE_BYTES, trust_env=False
        ) as session:
            while True:
                try:
                    if self._version is None:
                        self._version = await self._list(session)
                    await self._watch(session, self._version)
                    failures = 0
                except _ExpiredError:
                    self._version = None
                except (aiohttp.ClientError, OSError, TimeoutError, _ApiError, msgspec.DecodeError) as error:
                    failures += 1
                    await self._back_off(failures, error)

    async def _back_off(self, failures: int, error: Exception) -> None:
        self._errors.inc()
        first, longest = BACKOFF_SECONDS
        delay = min(longest, first * 2 ** min(failures - 1, 10)) * random.uniform(0.5, 1)  # noqa: S311 - no secret
        reason = f"{type(error).__name__}: {error}"
        get_logger().warning("discovery failed", reason=reason, retry_seconds=round(delay, 2))
        await asyncio.sleep(delay)

    async def _list(self, session: aiohttp.ClientSession) -> str:
        """Read all slices; returns the resource version to watch from."""
        slices: dict[str, EndpointSlice] = {}
        query = {"labelSelector": SERVER_LABEL, "limit": str(PAGE)}
        while True:
            async with session.get(self._url, params=query, headers=self._headers()) as response:
                await _check(response)
                page = msgspec.json.decode(await response.read(), type=EndpointSliceList)
            slices |= {item.metadata.name: item for item in page.items or []}
            if not page.metadata.continue_:
                break
            query["continue"] = page.metadata.continue_
        self._slices = slices
        self._publish()
        self._synced = True
        return page.metadata.resource_version

    async def _watch(self, session: aiohttp.ClientSession, version: str) -> None:
        """Follow changes until the API ends the watch; `self._version` moves along."""
        query = {
            "labelSelector": SERVER_LABEL,
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async with session.get(self._url, params=query, headers=self._headers()) as response:
            await _check(response)
            async for line in _lines(response):
                self._apply(msgspec.json.decode(line, type=WatchEvent))

    def _apply(self, event: WatchEvent) -> None:
        if event.type == "ERROR":
            status = msgspec.json.decode(event.object, type=Status)
            if status.code == GONE:
                raise _ExpiredError
            raise _ApiError(f"watch: {status.code} {status.message}")
        item = msgspec.json.decode(event.object, type=EndpointSlice)
        self._version = item.metadata.resource_version
        if event.type == "BOOKMARK":
            return
        if event.type == "DELETED":
            self._slices.pop(item.metadata.name, None)
        else:
            self._slices[item.metadata.name] = item
        self._publish()

    def _publish(self) -> None:
        settings, slices = self._settings, self._slices.values()
        by_pod, only = settings.address == "pods", settings.only
        found = fleet_of(slices) if by_pod else services_of(slices, settings.namespace)
        self._fleet.replace(found if only is None else {name: found[name] for name in found if name == only})

    def _headers(self) -> dict[str, str]:
        """Read anew for each request: the kubelet replaces the token before it expires."""
        token = self._settings.token_file.read_text(encoding="ascii").strip()
        return {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    def _tls(self) -> ssl.SSLContext | bool:
        if self._url.startswith("http://"):
            return True
        return ssl.create_default_context(cafile=self._settings.ca_file)


class DiscoveryError(Exception):
    """Discovery can't begin; the message is one line."""


def in_cluster_url() -> str:
    """The API's address as every pod is told it.

    Raises:
        DiscoveryError: this isn't a pod.
    """
    try:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    except KeyError as error:
        raise DiscoveryError(
            f"discovery.kubernetes: {error.args[0]} is not set, so this isn't a pod; "
            "set discovery.kubernetes.api_url"
        ) from None
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status == GONE:
        raise _ExpiredError
    if not response.ok:
        body = (await response.content.read(500)).decode(errors="replace")
        raise _ApiError(f"HTTP {response.status}: {body}")


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The lines of a watch, of any length up to a bound."""
    pending = b""
    async for chunk in response.content.iter_any():
        *complete, pending = (pending + chunk).split(b"\n")
        for line in complete:
            if line.strip():
                yield line
        if len(pending) > MAX_LINE_BYTES:
            raise _ApiError("watch: a line doesn't end")
