"""What all servers list now, for who approves it: also what is withheld, and without any lock."""

import asyncio
from typing import Any

from services.gateway.errors import RpcError
from services.gateway.fleet import Fleet, Server
from services.gateway.messages import encode
from services.gateway.pinning.listing import Key, Listings
from services.kit.pins import Definition, MalformedDefinitionError, parse_definition


class Inventory:
    """Asks every replica of every server."""

    def __init__(self, fleet: Fleet, listings: Listings) -> None:
        self._fleet = fleet
        self._listings = listings

    async def take(self) -> dict[str, Any]:
        """Server → `problem`, or kind → name → `definition` (or `problem`), as JSON data."""
        servers = list(self._fleet.servers.values())
        found = await asyncio.gather(*(self._of(server) for server in servers))
        return {server.name: it for server, it in zip(servers, found, strict=True)}

    async def _of(self, server: Server) -> dict[str, Any]:
        if not server.endpoints:
            return {"problem": "has no ready replica"}
        try:
            listings = await asyncio.gather(
                *(self._listings.of(server, endpoint) for endpoint in server.endpoints.values())
            )
        except RpcError as error:
            return {"problem": error.message}
        variants: dict[Key, list[Definition | None]] = {}
        for listing in listings:
            for key, item in listing.definitions.items():
                variants.setdefault(key, []).append(_parsed(encode(item)))
        kinds: dict[str, Any] = {kind: {} for kind in self._listings.kinds}
        for (kind, name), definitions in variants.items():
            kinds[kind][name] = _entry(definitions, replicas=len(listings))
        return kinds


def _entry(definitions: list[Definition | None], *, replicas: int) -> dict[str, Any]:
    first = definitions[0]
    if first is None:
        return {"problem": "the definition can be read in two ways"}
    if len(definitions) < replicas or any(it != first for it in definitions):
        return {"definition": first, "problem": "replicas differ; wait until all are of one version"}
    return {"definition": first}


def _parsed(definition: bytes) -> Definition | None:
    try:
        return parse_definition(definition)
    except MalformedDefinitionError:
        return None
