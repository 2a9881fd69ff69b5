"""Keys that issuers publish: what is taken of a key set, and how it is fetched from a real HTTP server."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from prometheus_client import CollectorRegistry, Counter

from services.kit.tokens import IssuerKey, KeySetError, keys_of_set
from services.kit.tokens.remote import MAX_BYTES, KeyAddress, RemoteKeys

ISSUER = "https://issuer.test"
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WEAK_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - weak on purpose
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def entry(kid: str = "one", **changes: Any) -> dict[str, Any]:
    return {**json.loads(ECAlgorithm.to_jwk(EC_KEY.public_key())), "kid": kid, **changes}


RSA_ENTRY = json.loads(RSAAlgorithm.to_jwk(RSA_KEY.public_key()))
ED_ENTRY = json.loads(OKPAlgorithm.to_jwk(ED_KEY.public_key()))


def test_each_type_of_key_has_one_algorithm() -> None:
    keys = keys_of_set(ISSUER, {"keys": [entry(alg="ES256"), RSA_ENTRY, {**ED_ENTRY, "kid": "ed"}]})
    assert [(key.algorithm, key.key_id) for key in keys] == [
        ("ES256", "one"),
        ("RS256", None),
        ("EdDSA", "ed"),
    ]


UNUSABLE: list[Any] = [
    entry(alg="HS256"),
    entry(alg="RS256"),
    entry(use="enc"),
    entry(kid="x" * 257),
    {**entry(), "kid": 1},
    {"kty": "oct", "k": "c2VjcmV0", "kid": "one"},
    {**RSA_ENTRY, "alg": "PS256"},
    json.loads(RSAAlgorithm.to_jwk(WEAK_KEY.public_key())),
    json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key())),
    json.loads(ECAlgorithm.to_jwk(EC_KEY)),
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    {"kty": "EC"},
    {},
    "text",
    None,
]


@pytest.mark.parametrize("unusable", UNUSABLE, ids=range(len(UNUSABLE)))
def test_other_keys_are_passed_over(unusable: Any) -> None:
    (key,) = keys_of_set(ISSUER, {"keys": [unusable, entry(kid="good")]})
    assert key.key_id == "good"
    with pytest.raises(KeySetError, match="no usable key"):
        keys_of_set(ISSUER, {"keys": [unusable]})


@pytest.mark.parametrize("content", [None, [], "x", {}, {"keys": {}}, {"keys": [entry()] * 21}, {"keys": []}])
def test_what_is_no_key_set(content: Any) -> None:
    with pytest.raises(KeySetError):
        keys_of_set(ISSUER, content)


class Publisher:
    """An HTTP server that publishes keys, or something else."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = self.of("one")
        self.asked: list[str] = []
        self.authorization: str | None = None
        self.hang = threading.Event()
        self.hang.set()
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked.append(self.path)
                publisher.authorization = self.headers["Authorization"]
                publisher.hang.wait(10)
                self.send_response(publisher.status)
                for name, value in publisher.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(publisher.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, *kids: str) -> bytes:
        return json.dumps({"keys": [entry(kid) for kid in kids]}).encode()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    found = Publisher()
    yield found
    found.hang.set()
    found.server.shutdown()
    found.server.server_close()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """RemoteKeys, what it published, and its clock."""

    def __init__(self, url: str, **changes: Any) -> None:
        self.published: list[list[str | None]] = []
        self.clock = Clock()
        self.errors = Counter("errors", "Errors.", ["issuer"], registry=CollectorRegistry())
        address = KeyAddress(issuer=ISSUER, url=url, refresh_seconds=0.01, keep_seconds=100, **changes)
        self.keys = RemoteKeys(address, self._publish, self.errors, now=self.clock)

    def _publish(self, keys: tuple[IssuerKey, ...]) -> None:
        self.published.append([key.key_id for key in keys])

    @property
    def failures(self) -> float:
        return self.errors.labels(ISSUER)._value.get()  # pyright: ignore[reportPrivateUsage] - no public reader

    async def runs_until(self, condition: Any) -> None:
        running = asyncio.create_task(self.keys.run())
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - some conditions are of the server's thread
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_keys_are_fetched_and_change_in_the_background(publisher: Publisher) -> None:
    async def scenario() -> None:
        client = Client(publisher.url)
        await client.runs_until(lambda: len(publisher.asked) > 3)
        assert client.published == [["one"]]
        publisher.body = publisher.of("one", "two")
        await client.runs_until(lambda: len(client.published) > 1)
        assert client.published[-1] == ["one", "two"]

    asyncio.run(scenario())


def test_a_token_for_the_address_is_read_anew(publisher: Publisher, tmp_path: Path) -> None:
    file = tmp_path / "token"
    client = Client(publisher.url, token_file=file)
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        client.clock.now += 60
        asyncio.run(client.keys.refresh())
        assert publisher.authorization == f"Bearer {token}"


def test_old_keys_stay_for_a_while_when_the_issuer_is_down(publisher: Publisher) -> None:
    async def scenario() -> None:
        client = Client(publisher.url)
        await client.runs_until(lambda: client.published)
        publisher.status = 500
        client.clock.now += 99
        await client.runs_until(lambda: client.failures > 1)
        assert client.published == [["one"]]
        client.clock.now += 2
        await client.runs_until(lambda: len(client.published) > 1)
        assert client.published == [["one"], []]
        publisher.status = 200
        await client.runs_until(lambda: len(client.published) > 2)
        assert client.published[-1] == ["one"]

    asyncio.run(scenario())


def test_unknown_keys_fetch_once_in_a_while_and_together(publisher: Publisher) -> None:
    async def scenario() -> None:
        client = Client(publisher.url)
        await asyncio.gather(*(client.keys.refresh() for _ in range(50)))
        assert len(publisher.asked) == 1
        client.clock.now += 9
        await client.keys.refresh()
        assert len(publisher.asked) == 1
        client.clock.now += 1
        await client.keys.refresh()
        assert len(publisher.asked) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (302, {"Location": "/elsewhere"}, b""),
        (404, {}, b""),
        (200, {}, b"not json"),
        (200, {}, b"[" * 100_000),
        (200, {}, b'{"keys": []}'),
        (200, {}, b" " * (MAX_BYTES + 1)),
        (200, {"Content-Encoding": "gzip"}, b"not gzip"),
    ],
)
def test_odd_answers_change_nothing(
    publisher: Publisher, status: int, headers: dict[str, str], body: bytes
) -> None:
    async def scenario() -> None:
        client = Client(publisher.url)
        await client.keys.refresh()
        publisher.status, publisher.headers, publisher.body = status, headers, body
        client.clock.now += 60
        await client.keys.refresh()
        assert (client.published, client.failures) == ([["one"]], 1)
        assert set(publisher.asked) == {"/keys"}

    asyncio.run(scenario())


def test_an_issuer_that_hangs_is_not_waited_for(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.kit.tokens.remote.FETCH_SECONDS", 0.2)
    publisher.hang.clear()
    client = Client(publisher.url)
    asyncio.run(client.keys.refresh())
    assert (client.published, client.failures) == ([], 1)


def test_nobody_is_there() -> None:
    client = Client("http://127.0.0.1:9/keys")
    asyncio.run(client.keys.refresh())
    assert (client.published, client.failures) == ([], 1)
