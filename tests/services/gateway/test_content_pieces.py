"""What is taken out of servers' texts: hidden characters and secrets, by themselves and within JSON."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.authorization import Kind
from services.gateway.config_content import Content, OwnPattern
from services.gateway.content.hidden import KINDS, may_hide, strip_hidden
from services.gateway.content.json_strings import rewrite
from services.gateway.content.own_patterns import compile_own
from services.gateway.content.rules import Findings, Rule, Rules
from services.gateway.content.secrets import BUILT_IN, DEFAULTS, Searcher
from services.gateway.targets import Target

HIDDEN = [chr(code) for ranges in KINDS.values() for first, last in ranges for code in range(first, last + 1)]
FLAG = "\U0001f3f4" + "".join(chr(0xE0000 + ord(it)) for it in "gbeng") + "\U000e007f"
MEANINGFUL = {
    "line ends": "a\tb\nc\r\n",
    "style of an emoji": "\u2764\ufe0f \u2764\ufe0e",
    "keycap": "1\ufe0f\u20e3 #\ufe0f\u20e3",
    "family": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "skin and joiner": "\U0001f469\U0001f3fd\u200d\U0001f680",
    "selector before a joiner": "\U0001f3f3\ufe0f\u200d\U0001f308",
    "flag of England": FLAG,
    "Persian": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "Hindi": "\u0915\u094d\u200d\u0937",
    "other writing": "Zürich, 漢字, naïve, עברית, \u00a0\u2009\u3000",
}
SMUGGLED = {
    "tags": ("hi" + "".join(chr(0xE0000 + ord(it)) for it in "ignore"), "hi", {"tag": 6}),
    "a flag that isn't one": (
        "\U0001f3f4\U000e0061\U000e0062\U000e007f",
        "\U0001f3f4",
        {"tag": 3},
    ),
    "selectors behind an emoji": (
        "\U0001f600\ufe0f\ufe01\U000e0101\U000e0142",
        "\U0001f600\ufe0f",
        {"variation_selector": 3},
    ),
    "a selector behind a letter": ("a\ufe0fb\ufe00", "ab", {"variation_selector": 2}),
    "an ideograph's variant": ("\u845b\U000e0100", "\u845b", {"variation_selector": 1}),
    "reordered": ("a\u202ecod.exe\u202c\u2066x\u2069\u200f", "acod.exex", {"bidi": 5}),
    "without width": ("pass\u200bword\u2060\ufeff\u00ad", "password", {"zero_width": 4}),
    "a joiner in Latin": ("a\u200db\u200cc", "abc", {"zero_width": 2}),
    "two joiners": ("\u0645\u200c\u200c\u062e", "\u0645\u062e", {"zero_width": 2}),
    "a joiner at the end": ("\U0001f468\u200d", "\U0001f468", {"zero_width": 1}),
    "terminal": ("\x1b[31mred\x07\x00\x7f\x9b", "[31mred", {"control": 5}),
    "fillers": ("\u3164\u115f\u2063", "", {"invisible": 3}),
}


@pytest.mark.parametrize("text", MEANINGFUL.values(), ids=MEANINGFUL)
def test_what_decides_what_is_seen_stays(text: str) -> None:
    assert strip_hidden(text) == (text, {})


@pytest.mark.parametrize(("text", "left", "kinds"), SMUGGLED.values(), ids=SMUGGLED)
def test_what_nobody_sees_goes(text: str, left: str, kinds: dict[str, int]) -> None:
    assert strip_hidden(text) == (left, kinds)


@pytest.mark.parametrize("kind", KINDS)
def test_every_hidden_character_is_found_in_json_however_it_is_written(kind: str) -> None:
    for code in (code for first, last in KINDS[kind] for code in range(first, last + 1)):
        escaped = json.dumps(f"a{chr(code)}b")
        upper = re.sub(r"\\u[0-9a-f]{4}", lambda it: it[0].upper().replace("U", "u"), escaped)
        for written in (escaped, upper, json.dumps(f"a{chr(code)}b", ensure_ascii=False)):
            assert may_hide(written.encode()), hex(code)
    assert not may_hide(json.dumps('plain \\ "text"\n\t€漢').encode())


mixed = st.lists(
    st.one_of(
        st.text(max_size=5),
        st.sampled_from(HIDDEN),
        st.sampled_from(["\ufe0f", "\u200d", "\u200c", "\u20e3", "7", "\u2764", "\U0001f3fd", FLAG]),
        st.sampled_from([*MEANINGFUL.values()]),
    ),
    max_size=12,
).map("".join)


@given(mixed)
def test_stripping_twice_is_stripping_once_and_nothing_visible_is_lost(text: str) -> None:
    stripped, kinds = strip_hidden(text)
    assert strip_hidden(stripped) == (stripped, {})
    hidden = set(HIDDEN)
    assert [it for it in stripped if it not in hidden] == [it for it in text if it not in hidden]
    assert len(text) - len(stripped) == sum(kinds.values())


def rule(**settings: Any) -> Rule:
    return Rules(Content(**settings)).general


def clean(value: Rule, data: bytes) -> tuple[bytes, Findings]:
    findings = Findings()
    return (value.clean(data, findings) if value.may_find(data) else data), findings


SECRETS = {
    "aws-access-key": "AKIAIOSFODNN7EXAMPLE",
    "aws-secret-key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "github-token": "ghp_" + "aB3" * 12,
    "private-key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\n-----END RSA PRIVATE KEY-----",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "slack-token": "xoxb-123456789012-abcdefABCDEF",
    "slack-webhook": "T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
    "google-api-key": "AIza" + "Sy_-9" * 7,
    "assignment": "q8Zt5vLx2Wn7Kp4R",
}
AROUND = {
    "aws-secret-key": "aws_secret_access_key = {}",
    "slack-webhook": "https://hooks.slack.com/services/{}",
    "assignment": "DB_PASSWORD={}",
}


@pytest.mark.parametrize("kind", BUILT_IN)
def test_each_kind_of_secret_is_marked_and_what_is_around_it_stays(kind: str) -> None:
    searcher = Searcher(BUILT_IN.values())
    around = AROUND.get(kind, "it is {}").join(("<", ">; that's all"))
    marked = around.format(f"[redacted:{kind}]")
    assert searcher.redact(around.format(SECRETS[kind])) == (marked, {kind: 1})
    assert searcher.redact(marked) == (marked, {})


def test_the_other_forms_of_secrets() -> None:
    searcher = Searcher(BUILT_IN[kind] for kind in DEFAULTS)
    for kind, text in (
        ("github-token", "github_pat_" + "a1B2c3D4e5" * 8),
        ("aws-access-key", "ASIA" + "Z" * 16),
        ("aws-secret-key", f'{{"SecretAccessKey": "{SECRETS["aws-secret-key"]}"}}'),
        ("aws-secret-key", f'{{\\"secretAccessKey\\": \\"{SECRETS["aws-secret-key"]}\\"}}'),
        ("private-key", "-----BEGIN PGP PRIVATE KEY BLOCK-----\na-b\nx\n-----END PGP PRIVATE KEY BLOCK-----"),
        ("private-key", "-----BEGIN PRIVATE KEY-----\\nMIIE\\nabc\\n-----END PRIVATE KEY-----\\n"),
        ("private-key", "-----BEGIN EC PRIVATE KEY-----\nMIIEabc and it was cut"),
        ("slack-token", "xapp-1-A0123-0123456789-abcdef"),
    ):
        redacted, found = searcher.redact(text)
        assert found == {kind: 1}, text
        assert "MIIE" not in redacted
        assert "wJalr" not in redacted


@pytest.mark.parametrize(
    "text",
    [
        "AKIA",
        "XAKIAIOSFODNN7EXAMPLE",
        "AKIAIOSFODNN7EXAMPLES",
        "ghp_short",
        "eyJhbGciOi.no.jwt",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
        "the password: hunter2",
        "token = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "A" * 80 + "AKIAIOSFODNN7EXAMPLE" * 3,
    ],
)
def test_what_only_resembles_a_secret_stays(text: str) -> None:
    assert Searcher(BUILT_IN.values()).redact(text) == (text, {})


def test_a_secret_is_found_however_json_writes_it() -> None:
    key, pem = SECRETS["aws-access-key"], SECRETS["private-key"]
    escaped = key.replace("A", "\\u0041").replace("I", "\\u0049")
    split = key[:4] + "\u200b" + key[4:]
    data = f'[{{"a": "x {escaped}"}}, {json.dumps(pem)}, "{split}", 1.50, "\\u00e9"]'.encode()
    cleaned, findings = clean(rule(leaks="redact"), data)
    expected = (
        '[{"a": "x [redacted:aws-access-key]"}, "[redacted:private-key]", "[redacted:aws-access-key]", '
        '1.50, "\\u00e9"]'
    )
    assert cleaned.decode() == expected
    assert findings.secrets == {"aws-access-key": 2, "private-key": 1}
    assert findings.hidden == {"zero_width": 1}


def test_a_blob_is_left_alone() -> None:
    blob = "iVBORw0KGgo" * 20 + "/AKIAIOSFODNN7EXAMPLE/" + "abcd" * 20
    data = json.dumps({"type": "image", "data": blob}).encode()
    cleaned, findings = clean(rule(leaks="redact"), data)
    assert cleaned == data
    assert not findings


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        mixed,
        st.builds("{}{}{}".format, st.text(max_size=3), st.sampled_from([*SECRETS.values()]), mixed),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text('ab\u200b\\"', max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def each_string(value: Any, change: Any) -> Any:
    match value:
        case str():
            return change(value)
        case list():
            return [each_string(it, change) for it in value]
        case dict():
            return {change(key): each_string(it, change) for key, it in value.items()}
        case _:
            return value


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_json_is_cleaned_as_its_strings_are_and_stays_json(
    value: Any, ascii_only: bool, indent: int | None
) -> None:
    cleaner = rule(leaks="redact", leak_kinds=tuple(BUILT_IN))
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    cleaned, findings = clean(cleaner, data)

    def cleaned_text(text: str) -> str:
        return cleaner.clean_text(text, Findings())

    expected = each_string(value, cleaned_text)
    # Compared as text, which tells 1 from 1.0 and from true.
    assert json.dumps(json.loads(cleaned)) == json.dumps(expected)
    again, none = clean(cleaner, cleaned)
    assert again == cleaned
    assert not none
    assert bool(findings) or cleaned == data


def test_halves_of_surrogate_pairs_do_no_harm() -> None:
    cleaned, findings = clean(rule(), b'["\\ud83d \\u200b", "\\ud83d"]')
    assert json.loads(cleaned) == ["\ufffd ", "\ud83d"]
    assert findings.hidden == {"zero_width": 1}


@pytest.mark.parametrize("data", [b"\\u200b", b'"a\\u200b', b'"\xff\\u200b"', b'{"a\\":\\u200b'])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - decoding errors are of this type
        clean(rule(), data)


def test_only_strings_with_findings_are_touched() -> None:
    data = b'{ "a" : "x\\u00e9\\/\\u200b\\\\" , "b":"\\u00e9\\/", "n": 1.10e+5 , "c":"\\\\\\\\u200b" }'
    cleaned, _ = clean(rule(), data)
    assert cleaned == '{ "a" : "xé/\\\\" , "b":"\\u00e9\\/", "n": 1.10e+5 , "c":"\\\\\\\\u200b" }'.encode()
    assert rewrite(data, re.compile(b"e9"), lambda it: it) == data


def test_tools_have_rules_of_their_own() -> None:
    tools = [{"match": "s__read*", "leaks": "redact"}, {"match": "s__*", "hidden_text": "keep"}]
    rules = Rules(Content(tools=tools, leaks="block", max_result_bytes=5000))  # pyright: ignore[reportArgumentType]

    def of(name: str, kind: Kind = Kind.TOOL) -> Rule:
        return rules.of(Target(kind, "s", name, "name", name))

    modes = [of(name).leaks for name in ("s__read_file", "s__x", "t__x")]
    assert modes == ["redact", "block", "block"]
    assert not of("s__x").may_find(b'"\\u200b"')
    assert of("s__read").may_find(b'"\\u200b"')
    assert of("s__read", Kind.PROMPT) is rules.general
    assert {of(name).limit for name in ("s__read", "t")} == {5000}


GOOD = ["acme_[A-Za-z0-9]{32}", r"ACM-\d{4}-\d{4,8}", "abc.?", "tok-[^ ]{20}", r"key\.[a-f]{8}\b", "aaab{2}"]
BAD = [
    "",
    "ab[0-9]{3}",
    "abc*",
    "abc+",
    "abc(d|e)",
    "abc|d",
    "abc[a-z]{1,}",
    "abc[a-z]{1,300}",
    "abc[a-z]{1,9}[0-9]{1,9}",
    "abc[a-z]?[0-9]{1,9}",
    r"abc(?=x)",
    r"abcd\1",
    "ab{3}c",
    "[a-z]{32}",
    "abcd[z-a]",
    r"abcd\b{3}",
    "abc$",
    "a" * 300,
]


@pytest.mark.parametrize("pattern", GOOD)
def test_patterns_of_operators(pattern: str) -> None:
    expression, literal = compile_own(pattern)
    assert len(literal) >= 3
    assert expression.pattern.startswith(literal)


@pytest.mark.parametrize("pattern", BAD)
def test_patterns_that_could_take_long_or_find_anything_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"must|isn't"):
        OwnPattern(name="x", pattern=pattern)


def test_an_operators_pattern_is_searched_for() -> None:
    own = OwnPattern(name="acme-token", pattern="acme_[a-z0-9]{8}")
    cleaned, findings = clean(
        rule(leaks="redact", leak_patterns=(own,)), b'{"a": "acme_1234abcd", "b": "\\u0061cme_1234abcd"}'
    )
    assert json.loads(cleaned) == {"a": "[redacted:acme-token]", "b": "[redacted:acme-token]"}
    assert findings.secrets == {"acme-token": 2}


@pytest.mark.parametrize("name", ["aws-access-key", "twice"])
def test_names_of_patterns_are_distinct(name: str) -> None:
    own = OwnPattern(name=name, pattern="acme_[a-z0-9]{8}")
    with pytest.raises(ValueError, match="is there twice"):
        Content(leak_patterns=(own, own))


HOSTILE = {
    "private keys without end": "-----BEGIN PRIVATE KEY-----",
    "private keys without end, with dashes": "-----BEGIN PRIVATE KEY----- a-b--c",
    "beginnings of JWTs": ".eyJ" + "a" * 12,
    "JWTs without signature": " eyJ" + "a" * 20 + ".eyJ" + "b" * 20,
    "assignments": "secret_key==========",
    "quotes": "aws_secret_access_key\"'\"'\"'\"'",
    "own": "acme_aaaa",
    "slack": "xoxb-a-a-a-a",
}


@pytest.mark.timeout(120)  # it takes some milliseconds; growth by the square would take hours
@pytest.mark.parametrize("part", HOSTILE.values(), ids=HOSTILE)
def test_no_text_takes_long(part: str) -> None:
    own = OwnPattern(name="own", pattern="acme_[a-z_]{8,256}!")
    cleaner = rule(leaks="redact", leak_kinds=tuple(BUILT_IN), leak_patterns=(own,))
    text = part * (4_000_000 // len(part))
    assert len(cleaner.clean_text(text, Findings())) <= len(text)
