"""Refusing requests that a web page tricked a browser into sending (DNS rebinding, CVE-2025-66416).

Such a page is loaded from a name of the attacker's, which then resolves to our address: the request's Host is
that name and its Origin the page's. So a Host is accepted when no attacker can own it:

- an IP address: the gateway calls pods by theirs, and a name that was rebound is never one;
- `localhost`, and the server's own name as a bare Service name;
- names below `.svc` and `.svc.cluster.local`, which exist in no public DNS;
- whatever `ALLOWED_HOSTS` lists.

An Origin is only sent by browsers; none is accepted but local pages (a developer's inspector) and
`ALLOWED_ORIGINS`. The SDK's own check knows only exact names, which a pod's address isn't, and is off.
"""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from services.kit.asgi import TEXT, App, Receive, Scope, Send, respond

_CLUSTER_SUFFIXES: Final = (".svc", ".svc.cluster.local")


def guard(app: App, *, names: frozenset[str], origins: frozenset[str]) -> App:
    """Put the check before `app`: 421 for a foreign Host, 403 for a foreign Origin.

    Args:
        app: what is protected.
        names: host names (lower case, no port) accepted beyond addresses and cluster names.
        origins: accepted origins, such as `https://inspector.example.com`.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if not host_is_ours(headers.get(b"host", b"").decode("latin-1"), names):
            await respond(
                send, 421, b"this server is not known by that Host; see ALLOWED_HOSTS\n", content_type=TEXT
            )
        elif not origin_is_ours(headers.get(b"origin", b"").decode("latin-1"), origins):
            await respond(
                send, 403, b"this Origin may not call here; see ALLOWED_ORIGINS\n", content_type=TEXT
            )
        else:
            await app(scope, receive, send)

    return guarded


def host_is_ours(host: str, names: frozenset[str]) -> bool:
    """Whether a Host header (with or without port) names this server and can't be an attacker's."""
    name = _host_name(f"//{host}")
    if name is None:
        return False
    return name == "localhost" or name in names or _is_address(name) or name.endswith(_CLUSTER_SUFFIXES)


def origin_is_ours(origin: str, origins: frozenset[str]) -> bool:
    """Whether an Origin header is absent, listed, or that of a page on this very machine."""
    if not origin or origin in origins:
        return True
    name = _host_name(origin)
    return name == "localhost" or (
        name is not None and _is_address(name) and ipaddress.ip_address(name).is_loopback
    )


def _host_name(url: str) -> str | None:
    """The lower-case host of `url` without port and brackets; None when there is none or it is malformed."""
    try:
        parts = urlsplit(url)
        if parts.port == 0 or parts.username is not None or parts.path:
            return None
    except ValueError:
        return None
    return parts.hostname


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
