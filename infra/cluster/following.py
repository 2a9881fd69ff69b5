"""Follows collections of the Kubernetes API, through every interruption."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator

from infra.cluster.api import GONE, ApiClient, ApiError, Object
from infra.errors import PlatformError

RETRY_SECONDS = 1.0


def follow(client: ApiClient, path: str, seen: Callable[[Object], None]) -> None:
    """Call `seen` for every object of a collection, now and whenever it changes; never returns.

    What `seen` fails with is told and tried again from the start of the list, so nothing is missed.
    """

    def once() -> None:
        listing = client.get(path)
        for item in listing["items"]:
            seen(item)
        for event in _events(client, path, listing):
            if event["type"] != "DELETED":
                seen(event["object"])

    _for_ever(path, once)


def follow_whole(client: ApiClient, path: str, seen: Callable[[str, dict[str, Object]], None]) -> None:
    """Call `seen` with the path and all objects of a collection by uid, at every change; never returns."""

    def once() -> None:
        listing = client.get(path)
        objects = {item["metadata"]["uid"]: item for item in listing["items"]}
        seen(path, objects)
        for event in _events(client, path, listing):
            uid = event["object"]["metadata"]["uid"]
            if event["type"] == "DELETED":
                objects.pop(uid, None)
            else:
                objects[uid] = event["object"]
            seen(path, objects)

    _for_ever(path, once)


def _events(client: ApiClient, path: str, listing: Object) -> Iterator[Object]:
    """Additions, changes and deletions after a list, until the watch ends."""
    for event in client.watch(path, listing["metadata"]["resourceVersion"]):
        if event["type"] == "ERROR":
            return  # our place in the history is gone (410): list again
        if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
            yield event


def _for_ever(path: str, once: Callable[[], None]) -> None:
    while True:
        try:
            once()
        except (OSError, http.client.HTTPException, PlatformError) as error:
            if not (isinstance(error, ApiError) and error.status == GONE):
                print(f"{path}: {error}; trying again", flush=True)
            time.sleep(RETRY_SECONDS)
