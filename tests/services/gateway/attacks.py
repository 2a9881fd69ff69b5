"""What attacks need: a site and tokens of the attacker, and a look at who fell for them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from prometheus_client import CollectorRegistry, Counter

from services.gateway.config_auth import Auth
from services.gateway.config_file import ConfigError, load_config
from services.gateway.issuers import Issuers
from services.kit.tokens import KeyFileError

if TYPE_CHECKING:
    from conftest import Gateway

REPOSITORY = Path(__file__).parents[3]
ISSUER = "https://login.test/"
AUDIENCE = "https://gateway.test/mcp"


class Site:
    """An HTTP server that counts who comes, and answers as a test likes."""

    def __init__(self) -> None:
        self.visits: list[str] = []
        self.received: list[str] = []
        """All that was sent here, headers and bodies."""
        self.status = 200
        self.headers: dict[str, str] = {"content-type": "application/json"}
        self.body = b"{}"
        self.delay = 0.0
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.visits.append(self.path)
                sent = self.rfile.read(int(self.headers.get("content-length", "0")))
                site.received.append(f"{self.path} {self.headers} {sent.decode('latin-1')}")
                body = site.answer(sent)
                time.sleep(site.delay)
                self.send_response(site.status)
                for name, value in site.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the base class names it

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, _sent: bytes) -> bytes:
        return self.body

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def start(file: Path) -> None:
    """What the gateway does before it listens: read the configuration, and the keys that it names."""
    auth = load_config(file).auth
    if isinstance(auth, Auth):
        Issuers(auth, Counter("errors", "Not counted here.", registry=CollectorRegistry()))


def refused_at_start(folder: Path, config: dict[str, Any]) -> str:
    """What the operator is told of a configuration that the gateway doesn't start with."""
    file = folder / "config.yaml"
    servers = [{"name": "a", "urls": ["http://127.0.0.1:9/mcp"]}]
    file.write_text(yaml.safe_dump({"servers": servers, **config}))
    with pytest.raises((ConfigError, KeyFileError)) as caught:
        start(file)
    return str(caught.value)


def signed_by_secret(claims: dict[str, Any], secret: str) -> str:
    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    header = {"alg": "HS256", "typ": "JWT"}
    text = ".".join(part(json.dumps(content).encode()) for content in (header, claims))
    return f"{text}.{part(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


def by_jwks(url: str, spy: str) -> dict[str, Any]:
    issuers = [{"issuer": ISSUER, "jwks": {"uri": url, "refresh_seconds": 0.2}}]
    servers = [{"name": "spy", "urls": [f"{spy}/mcp"]}]
    return {"auth": {"audience": AUDIENCE, "issuers": issuers}, "servers": servers}


def token_of(key: Any, **header: Any) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": now + 300, "scope": "mcp:read mcp:call"}
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    return jwt.encode(claims, key, algorithm, headers=header)


def published(key: Any, **changes: Any) -> bytes:
    public = key.public_key()
    text = RSAAlgorithm.to_jwk(public) if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm.to_jwk(public)
    return json.dumps({"keys": [{**json.loads(text), **changes}]}).encode()


def resident(gateway: Gateway) -> int:
    pages = Path(f"/proc/{gateway.process.popen.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def seen(url: str) -> list[str]:
    return httpx2.get(f"{url}/seen").json()


def ask(gateway: Gateway, era: str, method: str, params: dict[str, Any], token: str) -> httpx2.Response:
    if era == "stateless":
        return gateway.mcp(method, params, headers={"Authorization": f"Bearer {token}"})
    return gateway.legacy(method, params, Authorization=f"Bearer {token}")
