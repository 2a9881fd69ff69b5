"""Small pure parts: names, header values, events, replica choice, slices."""

from __future__ import annotations

import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import sse
from services.gateway.discovery.endpoint_slices import EndpointSlice, fleet_of, services_of
from services.gateway.fleet import Fleet, Server
from services.gateway.header_value import decode_value, encode_value
from services.gateway.mirrored import mirrored_headers
from services.gateway.names import PlainNames, PrefixedNames, is_server_name

SERVER_NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


@given(SERVER_NAMES, st.text())
def test_qualifying_is_reversible(server: str, name: str) -> None:
    assert is_server_name(server)
    for names in (PrefixedNames(), PlainNames(server)):
        assert names.split(names.qualify(server, name)) == (server, name)
        assert names.split_uri(names.qualify_uri(server, name)) == (server, name)


@pytest.mark.parametrize("name", ["", "A", "a_b", "a__b", "-a", "a-", "1a", "a.b", "a+b", "a" * 64, "a\n"])
def test_names_that_servers_may_not_have(name: str) -> None:
    assert not is_server_name(name)


@given(st.text())
def test_header_values_survive(text: str) -> None:
    try:
        encoded = encode_value(text)
    except UnicodeEncodeError:  # lone surrogates, which JSON's decoder doesn't let in
        return
    assert encoded.isascii()
    assert encoded.isprintable()
    assert encoded == encoded.strip()
    assert decode_value(encoded) == text


@pytest.mark.parametrize("value", ["=?base64?YQ?=", "=?base64?YR==?=", "=?base64?_w==?=", "=?base64?/w==?="])
def test_malformed_header_values_are_nothing(value: str) -> None:
    assert decode_value(value) is None


@given(
    st.lists(st.text(alphabet=string.ascii_letters, min_size=1), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.integers(1, 7),
)
def test_events_survive_any_chunking(texts: list[str], end: str, size: int) -> None:
    stream = "".join(
        f": comment{end}event: message{end}data: {text}{end}data:more{end}{end}" for text in texts
    )
    data = (stream + ("x" if end == "\r" else "")).encode()
    reader = sse.EventReader(1000)
    found = [
        event for start in range(0, len(data), size) for event in reader.feed(data[start : start + size])
    ]
    assert found == [f"{text}\nmore".encode() for text in texts]


def test_events_are_bounded() -> None:
    reader = sse.EventReader(100)
    for _ in range(10):
        assert reader.feed(b"data: " + b"x" * 60 + b"\n\n")
    with pytest.raises(sse.EventTooLargeError):
        reader.feed(b"data: " + b"x" * 101)


def test_events_of_several_lines() -> None:
    assert sse.EventReader(100).feed(sse.event(b'{"a":\n1}')) == [b'{"a":\n1}']


def server_with(*urls: str) -> Server:
    server = Server("s", 10)
    server.set_endpoints(urls)
    return server


def test_the_replica_with_the_least_in_flight_is_chosen() -> None:
    server = server_with("a", "b", "c")
    server.endpoints["a"].in_flight = 2
    server.endpoints["c"].in_flight = 1
    assert [picked.url for _ in range(2) if (picked := server.pick())] == ["b", "b"]


def test_equal_replicas_take_turns() -> None:
    server = server_with("a", "b", "c")
    assert [picked.url for _ in range(6) if (picked := server.pick())] == ["a", "b", "c"] * 2


def test_a_resting_replica_is_the_last_choice() -> None:
    server = server_with("a", "b")
    server.endpoints["a"].rest()
    server.endpoints["b"].in_flight = 9
    assert server.pick() is server.endpoints["b"]
    assert server.pick([server.endpoints["b"]]) is server.endpoints["a"]
    assert server.pick(list(server.endpoints.values())) is None


def test_what_stays_keeps_its_state() -> None:
    fleet = Fleet(10)
    fleet.replace({"s": ["a", "b"], "t": []})
    kept = fleet.servers["s"].endpoints["a"]
    fleet.replace({"s": ["a", "c"]})
    assert list(fleet.servers) == ["s"]
    assert fleet.servers["s"].endpoints["a"] is kept
    assert list(fleet.servers["s"].endpoints) == ["a", "c"]


def slice_of(label: str, **content: object) -> EndpointSlice:
    endpoints = [
        {"addresses": ["10.0.0.1"]},
        {"addresses": ["10.0.0.2"], "conditions": {"ready": True, "terminating": False}},
        {"addresses": ["10.0.0.3"], "conditions": {"ready": False}},
        {"addresses": ["10.0.0.4"], "conditions": {"ready": True, "terminating": True}},
        {"addresses": [], "conditions": {"ready": True}},
    ]
    given = {
        "metadata": {"name": "x", "labels": {"mcp-platform.dev/server": label}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "ops", "port": 9090}, {"name": "mcp", "port": 8080}],
        **content,
    }
    return msgspec.convert(given, EndpointSlice)


def test_ready_endpoints_of_a_slice() -> None:
    assert fleet_of([slice_of("files")]) == {
        "files": {"http://10.0.0.1:8080/mcp", "http://10.0.0.2:8080/mcp"}
    }


def test_slices_of_other_shapes() -> None:
    six = slice_of("six", addressType="IPv6", endpoints=[{"addresses": ["fd00::1"]}])
    empty = slice_of("empty", endpoints=None, ports=None)
    found = fleet_of([six, empty, slice_of("Not-A-Name"), slice_of("names", addressType="FQDN")])
    assert found == {"six": {"http://[fd00::1]:8080/mcp"}, "empty": set(), "names": set()}


def slice_of_service(server: str, service: str, *addresses: str) -> EndpointSlice:
    labels = {"mcp-platform.dev/server": server, "kubernetes.io/service-name": service}
    endpoints = [{"addresses": [address]} for address in addresses]
    return slice_of(server, metadata={"name": "x", "labels": labels}, endpoints=endpoints)


def test_a_service_is_one_address_while_any_endpoint_is_ready() -> None:
    slices = [
        slice_of_service("files", "files-v2", "10.0.0.1"),
        slice_of_service("files", "files-v2", "10.0.0.2"),
        slice_of_service("empty", "empty"),
        slice_of("without-service"),
    ]
    found = services_of(slices, "mcp-test")
    (url,) = found["files"]
    assert url.partition("#")[0] == "http://files-v2.mcp-test.svc:8080/mcp"
    assert found == {"files": {url}, "empty": set()}
    assert services_of(reversed(slices), "mcp-test") == found


def test_other_endpoints_behind_a_service_are_another_replica() -> None:
    urls = [
        services_of([slice_of_service("files", "files", *addresses)], "mcp-test")["files"]
        for addresses in (("10.0.0.1",), ("10.0.0.1", "10.0.0.2"), ("10.0.0.2",))
    ]
    assert len(set().union(*urls)) == 3


def test_only_annotated_parameters_are_repeated_in_headers() -> None:
    schema = {
        "properties": {
            "a": {"x-mcp-header": "A"},
            "b": {"type": "string"},
            "flag": {"x-mcp-header": "Flag"},
            "deep": {"properties": {"c": {"x-mcp-header": "C"}}},
            "none": {"x-mcp-header": "None"},
            "odd": {"x-mcp-header": "O\r\ndd"},
            "absent": {"x-mcp-header": "Absent"},
        }
    }
    arguments = {"a": 1, "b": "x", "flag": False, "deep": {"c": "d"}, "none": None, "odd": "x"}
    encoded = (msgspec.Raw(msgspec.json.encode(it)) for it in (schema, arguments))
    assert mirrored_headers(*encoded) == {
        "Mcp-Param-A": "1",
        "Mcp-Param-Flag": "false",
        "Mcp-Param-C": "d",
    }


@pytest.mark.parametrize(
    "schema", [b"{", b"5", b'{"properties": 5}', b'{"properties": {"a": 5}}', b"[" * 99999]
)
def test_a_schema_that_is_none_repeats_nothing(schema: bytes) -> None:
    assert mirrored_headers(msgspec.Raw(schema), msgspec.Raw(b'{"a": 1}')) == {}
