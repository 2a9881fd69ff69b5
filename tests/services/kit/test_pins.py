"""Locks of tools: one spelling of a definition, a file that is signed, and names that look alike."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from services.kit.pins import (
    Lock,
    LockError,
    MalformedDefinitionError,
    PinKeyError,
    Pinned,
    SigningKey,
    VerifyingKey,
    digest_of,
    parse_definition,
    skeleton,
)

KEY = SigningKey.generate()
OTHER = SigningKey.generate()
TOOL = {
    "name": "read",
    "description": "Reads. 漢字 \u202e\ufe0f\U000e0041",
    "inputSchema": {"type": "object"},
}


def lock_of(*tools: dict[str, Any]) -> Lock:
    return Lock({"files": {"tools": {tool["name"]: Pinned.of(tool) for tool in tools}}})


def test_what_is_signed_is_read() -> None:
    text = lock_of(TOOL).signed(KEY)
    lock = Lock.parse(text.encode(), [OTHER.public, KEY.public])
    found = lock.find("files", "tools", "read")
    assert found == Pinned(TOOL, digest_of(TOOL))
    assert lock.key_id == KEY.public.key_id
    assert lock.find("files", "prompts", "read") is None
    assert [entry[:3] for entry in lock.entries()] == [("files", "tools", "read")]


def test_the_file_is_the_same_for_the_same_definitions_and_shows_what_is_hidden() -> None:
    first = lock_of({"name": "a"}, TOOL).signed(KEY)
    assert first == lock_of(dict(reversed(TOOL.items())), {"name": "a"}).signed(KEY)
    assert "Reads. 漢字 \\u202e\\ufe0f\\udb40\\udc41" in first
    assert first.index('"a"') < first.index('"read"')
    assert first.endswith("}\n")


def test_white_space_does_not_matter() -> None:
    text = lock_of(TOOL).signed(KEY)
    assert Lock.parse(json.dumps(json.loads(text)).encode(), [KEY.public]).find("files", "tools", "read")


def tampered(change: Any) -> bytes:
    content = json.loads(lock_of(TOOL).signed(KEY))
    change(content)
    return json.dumps(content).encode()


def resigned(change: Any) -> bytes:
    """Changed by somebody who has the key."""
    content = json.loads(lock_of(TOOL).signed(KEY))
    del content["signature"]
    change(content)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return json.dumps({**content, "signature": KEY.sign(text.encode())}).encode()


def entry(content: Any) -> Any:
    return content["servers"]["files"]["tools"]["read"]


UNSIGNED: dict[str, Callable[[Any], Any]] = {
    "a definition": lambda it: entry(it)["definition"].update(description="x"),
    "a digest": lambda it: entry(it).update(sha256="0" * 64),
    "a new tool": lambda it: it["servers"]["files"]["tools"].update(x=entry(it)),
    "a removed tool": lambda it: it["servers"]["files"]["tools"].clear(),
    "another server": lambda it: it["servers"].update(b=it["servers"]["files"]),
    "another member": lambda it: it.update(also=1),
    "no signature": lambda it: it.pop("signature"),
    "a signature that is none": lambda it: it.update(signature="x"),
    "a signature of another type": lambda it: it.update(signature=["x"]),
    "a signature with its payload": lambda it: it.update(signature=it["signature"].replace("..", ".e30.")),
    "a signature by nobody": lambda it: it.update(signature="eyJhbGciOiJub25lIn0.."),
}
MALFORMED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a digest": (lambda it: entry(it).update(sha256="0" * 64), r"read\.sha256 isn't the definition's"),
    "a name": (lambda it: entry(it)["definition"].update(name="x"), "is the definition of 'x'"),
    "a kind": (lambda it: it["servers"]["files"].update(tool={}), "has 'tool'; allowed: tools, prompts"),
    "a server": (lambda it: it["servers"].update(files=[]), r"servers\.files must be a mapping"),
    "no servers": (lambda it: it.pop("servers"), "servers must be a mapping"),
    "an entry": (lambda it: entry(it).update(note="x"), "must have 'definition' and 'sha256'"),
    "a member": (lambda it: it.update(also=1), "has 'also', which isn't known"),
    "a format": (
        lambda it: it.update(format="2"),
        "must have the format 'mcp-platform/tool-lock/1', has '2'",
    ),
}


@pytest.mark.parametrize("change", UNSIGNED.values(), ids=UNSIGNED)
def test_what_is_changed_after_signing_is_refused(change: Any) -> None:
    with pytest.raises(LockError, match=rf"isn't signed by any key .*\({KEY.public.key_id}\)"):
        Lock.parse(tampered(change), [KEY.public])


@pytest.mark.parametrize(("change", "message"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_signed_must_make_sense(change: Any, message: str) -> None:
    with pytest.raises(LockError, match=message):
        Lock.parse(resigned(change), [KEY.public])


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"format": 1, "format": 2}', b"\xff", b"[" * 100_000])
def test_what_is_no_lock_is_refused(text: bytes) -> None:
    with pytest.raises(LockError):
        Lock.parse(text, [KEY.public])


def test_other_keys_do_not_count() -> None:
    text = lock_of(TOOL).signed(KEY).encode()
    with pytest.raises(LockError, match="isn't signed by any key"):
        Lock.parse(text, [OTHER.public])
    with pytest.raises(LockError, match=r"accepted here \(none\)"):
        Lock.parse(text, [])


def test_a_signature_of_something_else_is_none_of_a_lock() -> None:
    content = json.loads(lock_of(TOOL).signed(KEY))
    del content["signature"]
    text = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    for headers in ({"typ": "JWT", "kid": KEY.public.key_id}, {"typ": "mcp-lock+json", "kid": "another"}):
        content["signature"] = jwt.PyJWS().encode(
            text, KEY.key, "EdDSA", headers=headers, is_payload_detached=True
        )
        with pytest.raises(LockError, match="isn't signed"):
            Lock.parse(json.dumps(content).encode(), [KEY.public])


json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=4), st.booleans())
def test_a_definition_has_one_digest_however_it_is_written(
    definition: dict[str, Any], ascii_only: bool
) -> None:
    turned = dict(reversed(definition.items()))
    written = json.dumps(turned, ensure_ascii=ascii_only, indent=1).encode("utf-8", "surrogatepass")
    assert digest_of(parse_definition(written)) == digest_of(definition)
    lock = Lock({"s": {"tools": {"x": Pinned.of({**definition, "name": "x"})}}})
    assert Lock.parse(lock.signed(KEY).encode(), [KEY.public]).find("s", "tools", "x")


@given(json_values, json_values)
def test_different_definitions_have_different_digests(one: Any, two: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert (digest_of({"a": one}) == digest_of({"a": two})) is same


@pytest.mark.parametrize(
    "text",
    [
        '{"description": "good", "description": "bad"}',
        '{"inputSchema": {"a": 1, "a": 2}}',
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": ' + "1" * 5000 + "}",
        '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "[]",
        "",
    ],
)
def test_definitions_that_readers_could_take_for_different_things(text: str) -> None:
    with pytest.raises(MalformedDefinitionError):
        parse_definition(text)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("read_file", "Read-File"),
        ("read_file", "read.file"),
        ("read_file", "rеad_file"),  # noqa: RUF001 - Cyrillic
        ("read_file", "ｒead＿file"),  # noqa: RUF001 - full width
        ("read_file", "réad_file"),
        ("read_file", "read_f1le"),
        ("read_file", "read\u200b_file"),
        ("search", "ѕеаrсһ"),  # noqa: RUF001 - Cyrillic
        ("move", "rnove"),
        ("login", "Iogin"),
        ("o", "0"),
    ],
)
def test_names_that_look_alike(one: str, two: str) -> None:
    assert skeleton(one) == skeleton(two)


def test_names_that_do_not_look_alike() -> None:
    names = ["read", "write", "read_file", "read_files", "list", "search", "delete", "get_a", "get_b", "漢字"]
    assert len({skeleton(name) for name in names}) == len(names)


def test_keys_in_files(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "signing.pem"
    KEY.write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.read(path).public.key_id == KEY.public.key_id
    with pytest.raises(PinKeyError, match="File exists"):
        OTHER.write(path)
    public = tmp_path / "public.pem"
    public.write_bytes(KEY.public.pem())
    assert VerifyingKey.read(public).key_id == KEY.public.key_id
    path.chmod(0o640)
    with pytest.raises(PinKeyError, match="others may read or write it; chmod 600"):
        SigningKey.read(path)


def test_keys_that_can_not_be_used(tmp_path: Path) -> None:
    wrong = ec.generate_private_key(ec.SECP256R1()).public_key()
    file = tmp_path / "key.pem"
    for content, message in (
        (wrong.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "must be a public Ed25519 key"),
        (b"nothing", "must be a public Ed25519 key"),
        (b"-----BEGIN PRIVATE KEY-----", "whoever has the private one can sign"),
    ):
        file.write_bytes(content)
        with pytest.raises(PinKeyError, match=message):
            VerifyingKey.read(file)
    file.chmod(0o600)
    with pytest.raises(PinKeyError, match="must be a private Ed25519 key"):
        SigningKey.read(file)
    with pytest.raises(PinKeyError, match="No such file"):
        SigningKey.read(tmp_path / "none.pem")
