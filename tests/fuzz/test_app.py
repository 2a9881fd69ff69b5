"""Malformed JSON-RPC, headers, tokens and pages: the answer is a refusal, and never a fault of ours."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.inprocess import Answered, InProcess
from tests.fuzz.strategies import METHODS, header_values, requests, values
from tests.fuzz.verdicts import check_mcp, check_page
from tests.services.gateway.conftest import Tokens

PAGES = ("/", "/mcp/", "//mcp", "/config", "/tools", "/health", "/.well-known/oauth-protected-resource/mcp")
VERBS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "get", "")
CLAIMS = ("iss", "aud", "sub", "exp", "nbf", "iat", "jti", "scope", "groups", "roles", "kid", "crit")
FAR = 4_000_000_000
"""The end of tokens: what is signed anew each time would not be the same example."""


@pytest.fixture(scope="module")
def token(tokens: Tokens) -> str:
    return tokens.make(exp=FAR)


def post(app: InProcess, token: str, body: bytes) -> Answered:
    headers = [
        (b"host", b"localhost"),
        (b"content-type", b"application/json"),
        (b"authorization", b"Bearer " + token.encode()),
    ]
    return app.ask("POST", "/mcp", headers, body)


@given(data=st.data())
def test_whatever_is_posted_gets_a_proper_answer(app: InProcess, token: str, data: st.DataObject) -> None:
    headers, body = data.draw(requests(token))
    answer = app.ask("POST", "/mcp", headers, body, chunks=data.draw(st.integers(1, 5)))
    check_mcp(answer.status, answer.headers, answer.body, body + b"".join(value for _, value in headers))


@given(
    path=st.one_of(st.sampled_from(PAGES), st.text(max_size=20)), verb=st.sampled_from(VERBS), data=st.data()
)
def test_every_page_answers_whatever_is_asked(
    app: InProcess, token: str, path: str, verb: str, data: st.DataObject
) -> None:
    good = b"Bearer " + token.encode()
    names = st.sampled_from([b"authorization", b"host", b"accept", b"origin", b"content-type"])
    extra = data.draw(st.lists(st.tuples(names, header_values), max_size=2))
    answer = app.ask(verb, path, [(b"host", b"localhost"), (b"authorization", good), *extra], b"")
    if path != "/mcp":
        check_page(answer.status, answer.headers, answer.body)


def signed(tokens: Tokens, header: object, payload: object) -> str:
    """A token with a good signature of whatever header and payload."""
    parts = [json.dumps(part).encode() for part in (header, payload)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = jwt.get_algorithm_by_name("ES256").sign(text, tokens.key)
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


odd_claims = st.one_of(
    st.sampled_from(
        [10**400, -(10**400), 1e308, "\ud800", "", [], {}, ["\ud800"], True, "\x00\n", "4000000000"]
    ),
    values,
)


@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "kid", "jku", "x5u", "jwk", "crit", "b64", "typ"]), odd_claims, max_size=2
    ),
    claims=st.dictionaries(st.sampled_from(CLAIMS), odd_claims, max_size=3),
)
def test_tokens_with_odd_claims_are_taken_or_refused(
    app: InProcess, tokens: Tokens, header: dict[str, object], claims: dict[str, object]
) -> None:
    """They are signed well: an issuer can be mistaken, or sign what its users say of themselves."""
    payload = {**tokens.claims(iat=1, exp=FAR), **claims}
    token = signed(tokens, {"alg": "ES256", **header}, payload)
    answer = post(app, token, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}')
    check_mcp(answer.status, answer.headers, answer.body)
    assert answer.status in {200, 401, 403}


@pytest.mark.parametrize(
    "text",
    [
        b'{"jsonrpc":"2.0","id":%s,"method":"ping"}' % (b"9" * 4301),
        b'{"jsonrpc":"2.0","id":1e308,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping","method":"nonsense"}',
        b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"\\udfff"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\\ud800"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"odd__\\u0000"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"odd__%s"}}' % (b"x" * 100_000),
        b'{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"odd+%s"}}' % (b"x" * 100_000),
        b'{"jsonrpc":"2.0","id":1,"method":"%s"}' % (b"x" * 1_000_000),
        b'{"jsonrpc":"2.0","id":"%s","method":"ping"}' % (b"x" * 1_000_000),
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":%s}}' % (b"[" * 2000 + b"]" * 2000),
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":%s}}'
        % (b'{"a":' * 2000 + b"1" + b"}" * 2000),
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{%s}}'
        % b",".join(b'"%d":1' % n for n in range(50_000)),
        b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}',
        '{"jsonrpc":"2.0","id":1,"method":"ping"}'.encode("utf-16"),
    ],
    ids=lambda text: repr(text[:50]),
)
def test_known_traps_of_json(app: InProcess, token: str, text: bytes) -> None:
    answer = post(app, token, text)
    check_mcp(answer.status, answer.headers, answer.body, text)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("params", ["{}", "null", "[]", '{"_meta": 5}', '{"name": {}, "uri": [], "ref": ""}'])
def test_every_method_without_what_it_needs(app: InProcess, token: str, method: str, params: str) -> None:
    answer = post(
        app, token, b'{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}' % (method.encode(), params.encode())
    )
    check_mcp(answer.status, answer.headers, answer.body)
