"""The OpenAPI document: valid, about what is served and nothing else, and true of real answers."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from prometheus_client import CollectorRegistry
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from services.gateway.app import GatewayApp
from services.gateway.config import GatewayConfig
from services.kit.health import Health
from services.kit.ops import OPS_PATHS

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, Tokens

METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


class Document:
    """The document of a gateway, and what it promises."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        resource = Resource(contents=content, specification=DRAFT202012)
        self._registry = Registry().with_resource("urn:document", resource)

    @property
    def operations(self) -> list[tuple[str, str]]:
        """Method and path of each."""
        return [
            (method, path)
            for path, item in self.content["paths"].items()
            for method in item
            if method in METHODS
        ]

    def on_operations_port(self, path: str) -> bool:
        return "servers" in self.content["paths"][path]

    def check(self, method: str, path: str, response: httpx2.Response) -> None:
        """The answer is one of those that the document has for it."""
        found = self.content["paths"][path][method]["responses"][str(response.status_code)]
        if not response.content:
            return
        media = response.headers["content-type"].partition(";")[0]
        schema = found["content"][media]["schema"]
        if media.endswith("json"):
            validator = Draft202012Validator(_absolute(schema), registry=self._registry)
            validator.validate(response.json())


def _absolute(schema: Any) -> Any:
    """With references that lead into the document."""
    if isinstance(schema, dict):
        return {key: f"urn:document{it}" if key == "$ref" else _absolute(it) for key, it in schema.items()}
    return [_absolute(it) for it in schema] if isinstance(schema, list) else schema


def read(gateway: Gateway) -> Document:
    return Document(httpx2.get(f"{gateway.url}/openapi.json").json())


@pytest.fixture(scope="module")
def document(gateway: Gateway) -> Document:
    return read(gateway)


def url_of(gateway: Gateway, document: Document, path: str) -> str:
    base = gateway.ops_url if document.on_operations_port(path) else gateway.url
    return f"{base}{path.replace('{server}', 'alpha')}"


def test_the_document_is_valid(document: Document) -> None:
    OpenAPIV31SpecValidator(document.content).validate()
    assert document.content["openapi"].startswith("3.1")
    identities = [
        document.content["paths"][path][method]["operationId"] for method, path in document.operations
    ]
    assert len(identities) == len(set(identities))


def test_every_schema_is_one(document: Document) -> None:
    for schema in document.content["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_what_the_document_has_is_served_and_no_other_method(gateway: Gateway, document: Document) -> None:
    for path, item in document.content["paths"].items():
        served = {method for method in METHODS if method in item and "405" not in item[method]["responses"]}
        for method in METHODS:
            response = httpx2.request(method, url_of(gateway, document, path))
            if method in served or (method == "head" and document.on_operations_port(path)):
                assert response.status_code != 405, (method, path)
                # The document about whose tokens count isn't there without auth.
                assert response.status_code != 404 or path.startswith("/.well-known"), (method, path)
            else:
                assert response.status_code == 405, (method, path)
                allowed = set(response.headers["allow"].lower().split(", "))
                assert allowed - {"head"} == served, path


def test_what_is_served_is_in_the_document(document: Document) -> None:
    """The app's own routing tables, of both ports."""

    async def routes() -> set[tuple[str, str]]:
        server = {"name": "a", "urls": ["http://127.0.0.1:9/mcp"]}
        config = GatewayConfig.model_validate(
            {"listen": {"host": "127.0.0.1"}, "auth": "none", "servers": [server]}
        )
        app = GatewayApp(config, Health(), CollectorRegistry())
        # The tables are made when the app starts, and are nobody else's business.
        await app._start()  # pyright: ignore[reportPrivateUsage] - as above
        await app._stop()  # pyright: ignore[reportPrivateUsage] - as above
        table = app._pages._paths  # pyright: ignore[reportPrivateUsage] - as above
        return {(method.lower(), "/".join(path)) for path, methods in table.items() for method in methods}

    described = {it for it in document.operations if not document.on_operations_port(it[1])}
    assert described == asyncio.run(routes()) | {(method, "/mcp") for method in ("get", "post", "delete")}
    on_ops = {path for path in document.content["paths"] if document.on_operations_port(path)}
    assert on_ops | {"/health"} == set(OPS_PATHS)


@pytest.mark.parametrize("scope", ["mcp:read", "mcp:admin", None])
def test_answers_are_as_described(guarded: Gateway, tokens: Tokens, scope: str | None) -> None:
    """With the right token, with another one, and without any."""
    document = read(guarded)
    headers = {"Authorization": f"Bearer {tokens.make(scope=scope)}"} if scope else {}
    bodies: dict[str, Any] = {"/admin/breakers/{server}": {"action": "reset"}, "/mcp": PING}
    seen: set[int] = set()
    for method, path in document.operations:
        url = url_of(guarded, document, path)
        response = httpx2.request(method, url, headers=headers, json=bodies.get(path), timeout=20)
        document.check(method, path, response)
        seen.add(response.status_code)
        security = document.content["paths"][path][method]["security"]
        if not security:
            assert response.status_code in {200, 405}, (method, path)
        elif scope is None:
            assert response.status_code == 401, (method, path)
        else:
            (needed,) = security[0].values()
            assert (response.status_code == 403) == bool(set(needed) - {scope}), (method, path)
    assert seen >= ({200, 401} if scope is None else {200, 403})


def test_each_needs_the_scope_that_it_should(document: Document) -> None:
    needed = {
        path: document.content["paths"][path][method]["security"]
        for method, path in document.operations
        if path != "/mcp"
    }
    administrators = [{"token": ["mcp:admin"]}]
    assert all(
        (security == administrators) == path.startswith("/admin/") for path, security in needed.items()
    )
    readers = {path for path, security in needed.items() if security == [{"token": ["mcp:read"]}]}
    assert readers == {"/config", "/tools", "/status.json"}


def mcp_requests() -> list[tuple[int, dict[str, Any]]]:
    """Requests to the MCP endpoint by the status that they get."""
    new = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "server/discover"}
    discover = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": META}}
    large = {**PING, "params": {"filler": "x" * 5_000_000}}
    return [
        (200, {"json": discover, "headers": new}),
        (200, {"json": PING}),
        (202, {"json": {"jsonrpc": "2.0", "method": "notifications/initialized"}}),
        (400, {"content": b"{", "headers": {"Content-Type": "application/json"}}),
        (400, {"json": [PING]}),
        (400, {"json": discover, "headers": {**new, "Mcp-Method": "ping"}}),
        (403, {"json": PING, "headers": {"Origin": "https://evil.test"}}),
        (404, {"json": {**discover, "method": "no/such"}, "headers": {**new, "Mcp-Method": "no/such"}}),
        (406, {"json": PING, "headers": {"Accept": "text/html"}}),
        (413, {"json": large}),
        (415, {"content": b"{}", "headers": {"Content-Type": "text/plain"}}),
        (421, {"json": PING, "headers": {"Host": "evil.test"}}),
        (431, {"json": PING, "headers": {"Mcp-Param-Filler": "x" * 9000}}),
    ]


@pytest.mark.parametrize(("status", "options"), mcp_requests())
def test_mcp_answers_as_described(
    gateway: Gateway, document: Document, status: int, options: dict[str, Any]
) -> None:
    response = httpx2.post(f"{gateway.url}/mcp", **options, timeout=20)
    assert response.status_code == status
    document.check("post", "/mcp", response)


def test_too_many_requests_are_described(launcher: Launcher, alpha: str) -> None:
    limits = {"principal": {"per_second": 0.001, "burst": 1}}
    limited = launcher.gateway(
        {"auth": "none", "servers": [{"name": "alpha", "urls": [alpha]}], "limits": limits}
    )
    document = read(limited)
    assert httpx2.get(f"{limited.url}/tools").status_code == 200
    for method, path in (("get", "/tools"), ("post", "/admin/reload"), ("post", "/mcp")):
        response = httpx2.request(method, f"{limited.url}{path}", json=PING if path == "/mcp" else None)
        assert response.status_code == 429
        document.check(method, path, response)


def test_requests_while_there_are_no_keys_are_described(
    launcher: Launcher, alpha: str, tokens: Tokens
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        auth = {**tokens.auth, "issuers": [{"issuer": "https://issuer.test", "jwks": {"uri": uri}}]}
        gateway = launcher.gateway({"auth": auth, "servers": [{"name": "alpha", "urls": [alpha]}]})
        document = read(gateway)
        headers = {"Authorization": f"Bearer {tokens.make()}"}
        for method, path in (("get", "/config"), ("post", "/mcp")):
            url, content = f"{gateway.url}{path}", json.dumps(PING)
            response = httpx2.request(method, url, content=content, headers=headers, timeout=30)
            assert response.status_code == 503
            document.check(method, path, response)


def test_a_stream_is_described(gateway: Gateway, document: Document) -> None:
    steps = {"name": "beta__steps", "arguments": {"count": 2}}
    response = gateway.mcp("tools/call", steps, meta={"progressToken": "p"})
    assert response.headers["content-type"].startswith("text/event-stream")
    document.check("post", "/mcp", response)
