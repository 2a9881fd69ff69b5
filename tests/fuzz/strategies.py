"""What a confused or hostile client may send: almost right, nearly JSON, or nothing of the kind."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import strategies as st

METHODS = (
    "server/discover",
    "initialize",
    "ping",
    "logging/setLevel",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "resources/subscribe",
    "completion/complete",
    "subscriptions/listen",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
    "notifications/initialized",
    "notifications/cancelled",
)
VERSIONS = ("2026-07-28", "2025-11-25", "2024-11-05", "2031-01-01")
NAMES = (
    "odd__mirror",
    "odd__link",
    "odd__garbage",
    "odd__html",
    "odd__old",
    "odd__stream",
    "odd__ask",
    "odd__",
    "__mirror",
    "nowhere__x",
    "mirror",
    "odd+note://first",
    "",
)
PARAMETERS = (
    "_meta",
    "name",
    "uri",
    "arguments",
    "cursor",
    "level",
    "ref",
    "argument",
    "capabilities",
    "inputResponses",
    "requestState",
    "notifications",
    "task",
    "taskId",
)
POISON = (
    b"\\ud800",
    b"\\udc00\\ud800",
    b"\\u0000",
    b"\x00",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"1e999",
    b"-0",
    b"0x10",
    b"9" * 400,
    b"NaN",
    b"[" * 200,
    b'{"a":' * 200,
    b'"',
    b"\\",
    b"{",
    b"}",
    b",",
    b"null",
    b"'",
    b"//",
    b"\r\n",
)

texts = st.one_of(
    st.sampled_from((*NAMES, *METHODS, *VERSIONS)),
    st.text(max_size=30),
    st.text("x", min_size=5000, max_size=9000),
)
_floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.integers(-(2**70), 2**70), _floats, texts)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=5,
)


def _or_any(strategy: st.SearchStrategy[Any], among: int = 8) -> st.SearchStrategy[Any]:
    """Mostly as it should be; about once in `among` something else."""
    # Hypothesis likes the ends of a range, so the exception is in its middle.
    return st.integers(0, among).flatmap(lambda turn: values if turn == among // 2 else strategy)


@st.composite
def metas(draw: st.DrawFn, version: str) -> dict[str, Any]:
    """`params._meta`."""
    prefix = "io.modelcontextprotocol/"
    meta = {
        f"{prefix}protocolVersion": draw(_or_any(st.just(version))),
        f"{prefix}clientCapabilities": draw(_or_any(st.sampled_from([{}, {"elicitation": {}}]))),
    }
    extra = {"progressToken": values, "traceparent": texts, f"{prefix}logLevel": texts, "": values}
    return meta | draw(st.fixed_dictionaries({}, optional=extra))


@st.composite
def messages(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """A message that is nearly right, and the version that it is of."""
    version = draw(st.sampled_from(VERSIONS))
    method = draw(st.one_of(st.sampled_from(METHODS), st.just("tools/call"), texts))
    name = draw(_or_any(st.sampled_from(NAMES)))
    wanted: dict[str, Any] = {
        "tools/call": {"name": name, "arguments": {"text": "x"}},
        "prompts/get": {"name": name},
        "resources/read": {"uri": name},
        "resources/subscribe": {"uri": name},
        "completion/complete": {"ref": {"type": "ref/prompt", "name": name}, "argument": {"name": "a"}},
        "initialize": {"protocolVersion": version, "capabilities": {"elicitation": {}}},
        "logging/setLevel": {"level": "info"},
        "subscriptions/listen": {"notifications": {"resourceSubscriptions": [name]}},
        "tasks/get": {"taskId": name},
    }
    params: dict[str, Any] = {"_meta": draw(_or_any(metas(version))), **wanted.get(method, {})}
    params |= draw(st.dictionaries(st.sampled_from(PARAMETERS), values, max_size=1))
    message = {
        "jsonrpc": draw(_or_any(st.just("2.0"), 20)),
        "id": draw(_or_any(st.one_of(st.integers(), st.text(max_size=20)))),
        "method": draw(_or_any(st.just(method), 20)),
        "params": draw(_or_any(st.just(params), 10)),
    }
    for key in draw(st.sets(st.sampled_from([*message, "result", "error"]), max_size=1)):
        if key in message:
            del message[key]
        else:
            message[key] = draw(values)
    return message, version


@st.composite
def bodies(draw: st.DrawFn, message: Any) -> bytes:
    """The message as JSON; at times with a key twice, something poisonous within, or a part missing."""
    text = json.dumps(message, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    match draw(st.integers(0, 20)):
        case 6:
            at = draw(st.integers(0, len(text)))
            return text[:at] + draw(st.sampled_from(POISON)) + text[at:]
        case 8:
            first, last = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
            return text[:first] + text[last:]
        case 10 if isinstance(message, dict):
            key = draw(st.sampled_from(["jsonrpc", "id", "method", "params"]))
            return b"{%s:%s,%s" % (json.dumps(key).encode(), json.dumps(draw(values)).encode(), text[1:])
        case 12:
            return draw(st.one_of(st.binary(max_size=60), values.map(lambda it: json.dumps(it).encode())))
        case _:
            return text


_PRINTABLE = bytes([9, *range(32, 127), *range(128, 256)])
header_values = st.one_of(
    st.sampled_from(
        [b"", b"application/json", b"text/event-stream", b"*/*", b"=?base64?", b"localhost", b"null"]
    ),
    st.lists(st.sampled_from(_PRINTABLE), max_size=40).map(bytes),
    texts.map(lambda it: b"=?base64?%s?=" % base64.b64encode(it.encode("utf-8", "surrogatepass"))),
)


@st.composite
def header_lines(draw: st.DrawFn, message: Any, version: str, token: str) -> list[tuple[bytes, bytes]]:
    """Headers that fit the message, then a few of them changed, doubled, dropped or added."""
    method = message.get("method") if isinstance(message, dict) else None
    params = message.get("params") if isinstance(message, dict) else None
    name = (params.get("name") or params.get("uri")) if isinstance(params, dict) else None
    lines = {
        b"host": b"localhost",
        b"content-type": b"application/json",
        b"accept": b"application/json, text/event-stream",
        b"authorization": b"Bearer " + token.encode(),
        b"mcp-protocol-version": version.encode(),
        b"mcp-method": _header(method),
        b"mcp-name": _header(name),
    }
    extra = [
        b"origin",
        b"cookie",
        b"content-length",
        b"content-encoding",
        b"mcp-session-id",
        b"mcp-param-region",
        b"x-request-id",
        b"traceparent",
        b"x-forwarded-for",
        b"upgrade",
    ]
    found = list(lines.items())
    for turn in draw(st.lists(st.integers(0, 3), max_size=3)):
        key = draw(st.sampled_from([*lines, *extra]))
        if turn == 0:
            found = [line for line in found if line[0] != key]
        elif turn == 1:
            found = [(key, draw(header_values)) if line[0] == key else line for line in found]
        else:
            found.append((key, draw(header_values)))
    return found


def _header(value: Any) -> bytes:
    text = value if isinstance(value, str) else ""
    data = text.encode("utf-8", "surrogatepass")
    plain = data.isascii() and text.isprintable() and text == text.strip()
    return data if plain else b"=?base64?%s?=" % base64.b64encode(data)


@st.composite
def requests(draw: st.DrawFn, token: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of a POST."""
    message, version = draw(messages())
    shown = draw(_or_any(st.just(message), 20))
    return draw(header_lines(shown, version, token)), draw(bodies(shown))
