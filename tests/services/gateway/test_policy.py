"""Policies by themselves: what their files may say, and how names are matched."""

from pathlib import Path

import pytest

from services.gateway.authorization import (
    Kind,
    PolicyError,
    Rulebook,
    Trust,
    decisions,
    load_policy,
)
from services.gateway.authorization.matching import canonical, matcher
from services.gateway.errors import RpcError
from services.gateway.messages import raw
from services.gateway.names import PrefixedNames
from services.gateway.targets import NAMELESS, Targets
from services.kit.tokens import Principal

ONE = Trust(frozenset({"https://a.test"}), frozenset({"groups"}))
TWO = Trust(frozenset({"https://a.test", "https://b.test"}), frozenset({"groups"}))
RULE = "- {effect: allow, groups: ['*'], servers: ['*'], tools: ['*']}"


def load(folder: Path, text: str, trust: Trust = ONE) -> Rulebook:
    file = folder / "policy.yaml"
    file.write_text(text)
    return load_policy(file, trust)


def rule(text: str) -> str:
    return f"rules:\n- {{{text}}}"


def member(text: str) -> str:
    return f"groups:\n  g:\n    members:\n    - {text}\nrules:\n{RULE}"


ALL = "groups: ['*'], servers: ['*']"
WRONG = {
    "": ":1: the file = None: must be a valid dictionary or instance of Policy",
    "rules: []": ":1: rules: tuple should have at least 1 item",
    "groups: {}": ":1: rules is missing",
    f"rules:\n{RULE}\nextra: 1": ":3: extra is not known; allowed: groups, rules",
    f"rules:\n{RULE}\n- {{effect: permit}}": ":3: rule 2: effect = 'permit': must be 'allow', 'ask'",
    f"rules:\n{RULE}\n- {{tool: x}}": ":3: rule 2: tool is not known; allowed: approval, effect, groups",
    rule("effect: allow, groups: [], servers: ['*'], tools: [a]"): ":2: rule 1: groups: tuple should",
    rule(f"effect: allow, {ALL}"): ":2: rule 1: must say what it is about",
    rule(f"effect: deny, {ALL}, tools: [a], scopes: [b]"): "no meaning in a rule",
    rule(f"effect: ask, {ALL}, tools: [a], scopes: [b]"): "no meaning in a rule with effect ask",
    rule(f"effect: ask, {ALL}, tools: [a], prompts: [b]"): "effect ask is about tools only",
    rule(f"effect: deny, {ALL}, tools: [a], approval: waived"): "only in a rule that allows tools",
    rule(f"effect: allow, {ALL}, prompts: [a], approval: waived"): "only in a rule that allows tools",
    rule(f"effect: allow, {ALL}, tools: [a], approval: needed"): "approval = 'needed': must be 'waived'",
    rule(f"effect: allow, {ALL}, tools: [a], scopes: ['a b']"): ":2: rule 1: scopes.0 = 'a b': string should",
    rule("effect: allow, groups: [ops], servers: ['*'], tools: [a]"): "names the group 'ops'; allowed: *",
    member("{}"): ":4: groups.g.members.0: must say who is meant",
    member("{user: a}"): ":4: groups.g.members.0.user is not known; allowed: claims, issuer, subject",
    member("subject: a\n      issuer: https://c.test"): (
        ":5: groups.g.members.0.issuer = 'https://c.test': must be an issuer of auth.issuers: https://a.test"
    ),
    member("{claims: {team: [a]}}"): "'team' must be one of auth.group_claims: groups",
    f"groups:\n  '*':\n    members: [{{subject: a}}]\nrules:\n{RULE}": "string should match pattern",
    f"rules:\n{RULE}\nrules: []": "rules is there twice",
    "a: &x [1]\nb: *x": "anchors and aliases aren't allowed",
    "rules: [": "not YAML",
    "rules: " + "[" * 5000: "not YAML",
    "x" * 1_100_000: "larger than 1048576 bytes",
}


@pytest.mark.parametrize(("text", "expected"), WRONG.items(), ids=range(len(WRONG)))
def test_wrong_policies(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "policy.yaml"))
    assert expected in message
    assert "\n" not in message


def test_the_issuer_must_be_named_where_there_are_several(tmp_path: Path) -> None:
    text = f"groups:\n  g:\n    members: [{{subject: a}}]\nrules:\n{RULE}"
    load(tmp_path, text)
    with pytest.raises(PolicyError, match="several are trusted"):
        load(tmp_path, text, TWO)


PATTERNS = {
    ("*",): ({"", "a", "a\nb"}, set[str]()),
    ("a", "*"): ({"", "a", "b"}, set[str]()),
    (): (set[str](), {"", "a", "*"}),
    ("a", "b*"): ({"a", "b", "bc", "b\n"}, {"", "ab", "A", "cb", "a\n"}),
    ("[ab]?", "c|d", "e.", "(f"): ({"ax", "b1", "c|d", "e.", "(f"}, {"a", "c", "d", "ex", "f", "[ab]?"}),
}


@pytest.mark.parametrize(("patterns", "texts"), PATTERNS.items(), ids=map(" ".join, PATTERNS))
def test_patterns(patterns: tuple[str, ...], texts: tuple[set[str], set[str]]) -> None:
    matches = matcher(patterns)
    fitting, others = texts
    assert {it for it in fitting | others if matches(it)} == fitting


ACCESS = Path(__file__).parents[3] / "access"


def test_the_agents_of_the_development_cluster_bring_no_scopes_and_get_some() -> None:
    cluster = "https://kubernetes.default.svc.cluster.local"
    rulebook = load_policy(ACCESS / "dev.yaml", Trust(frozenset({cluster, "https://dev.test"}), frozenset()))
    agent, _ = rulebook.enter(Principal("system:serviceaccount:agents:a", cluster, frozenset(), 0.0))
    assert agent.scopes == {"mcp:read", "mcp:call"}


@pytest.mark.parametrize("file", sorted(ACCESS.glob("*.yaml")), ids=lambda file: file.name)
def test_the_policies_of_this_project(file: Path) -> None:
    cluster = "https://kubernetes.default.svc.cluster.local"
    rulebook = load_policy(file, Trust(frozenset({cluster, "https://dev.test"}), frozenset()))
    ada, view = rulebook.enter(Principal("ada", "https://dev.test", frozenset(), 0.0))
    assert ada.scopes == frozenset()
    assert view.decide(Kind.TOOL, "filesystem", "read_file").allowed


def test_a_subject_is_its_issuers(tmp_path: Path) -> None:
    rulebook = load(
        tmp_path,
        "groups: {g: {members: [{issuer: 'https://a.test', subject: 'ad?'}], scopes: [x]}}\n"
        "rules: [{effect: allow, groups: [g], servers: ['*'], tools: ['*']}]",
        TWO,
    )
    for issuer, subject, allowed in (
        ("https://a.test", "ada", True),
        ("https://a.test", "adam", False),
        ("https://a.test", "Ada", False),
        ("https://b.test", "ada", False),
    ):
        principal, view = rulebook.enter(Principal(subject, issuer, frozenset(), 0.0))
        assert view.decide(Kind.TOOL, "s", "t").allowed is allowed
        assert view.sees("s") is allowed
        assert principal.scopes == (frozenset({"x"}) if allowed else frozenset())


def test_the_rule_that_asks_for_the_fewest_more_scopes_counts(tmp_path: Path) -> None:
    rulebook = load(
        tmp_path,
        "rules:\n"
        "- {effect: allow, groups: ['*'], servers: ['*'], tools: [a], scopes: [x, y]}\n"
        "- {effect: allow, groups: ['*'], servers: ['*'], tools: ['*'], scopes: [z]}\n",
    )
    for scopes, needed in (
        (set[str](), {"z"}),
        ({"x", "y"}, {"x", "y"}),
        ({"x"}, {"x", "y"}),
        ({"z"}, {"z"}),
    ):
        _, view = rulebook.enter(Principal("ada", "https://a.test", frozenset(scopes), 0.0))
        assert view.decide(Kind.TOOL, "s", "a").scopes == needed


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "MAX_DECISIONS", 3)
    monkeypatch.setattr(decisions, "MAX_CALLERS", 3)
    monkeypatch.setattr(decisions, "MAX_VIEWS", 3)
    rulebook = load(tmp_path, "rules: [{effect: allow, groups: ['*'], servers: ['*'], tools: ['a*']}]")
    for number in range(10):
        ada = Principal(f"ada{number}", "", frozenset({f"scope{number}"}), 0.0)
        _, view = rulebook.enter(ada)
        for name in ("a1", "b", "a2", "a3", "b2", "a" * 1000):
            assert view.decide(Kind.TOOL, "s", name).allowed is name.startswith("a")
            assert view.decide(Kind.TOOL, "s", name).allowed is name.startswith("a")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("file:///a/b.txt", "file:///a/b.txt"),
        ("file:///a/", "file:///a/"),
        ("FILE:///A", "file:///A"),
        ("http://Host.Test/A", "http://host.test/A"),
        ("note://by/{title}", "note://by/{title}"),
        ("file:///%61", "file:///a"),
        ("file:///a%20b", "file:///a b"),
        ("urn:a:b", "urn:a:b"),
        ("file:///a/../b", None),
        ("file:///a/%2e%2e/b", None),
        ("file:///a/%252e%252e/b", None),
        ("file:///./b", None),
        ("file:////b", None),
        ("file:///a//b", None),
        ("file:///a\\b", None),
        ("file:///a%5cb", None),
        ("file:///a%00", None),
        ("file:///a\nb", None),
        ("file:..", None),
    ],
)
def test_one_spelling_of_a_uri(uri: str, expected: str | None) -> None:
    assert canonical(uri) == expected


def test_a_uri_that_is_no_text_is_not_there(tmp_path: Path) -> None:
    rulebook = load(tmp_path, "rules: [{effect: allow, groups: ['*'], servers: ['*'], resources: ['*']}]")
    _, view = rulebook.enter(Principal("ada", "", frozenset(), 0.0))
    assert view.decide(Kind.RESOURCE, "s", "file:///a").allowed
    assert not view.decide(Kind.RESOURCE, "s", "file:///%ff").allowed


def test_what_requests_name() -> None:
    targets = Targets(PrefixedNames())

    def named(method: str, **params: object) -> list[tuple[str, str, str]] | None:
        found = targets.all(method, {key: raw(value) for key, value in params.items()})
        return None if found is None else [(it.kind, it.server, it.name) for it in found]

    assert named("tools/call", name="s__t") == [("tools", "s", "t")]
    assert named("prompts/get", name="s__t__u") == [("prompts", "s", "t__u")]
    for method in ("resources/read", "resources/subscribe", "resources/unsubscribe"):
        assert named(method, uri="s+file:///a") == [("resources", "s", "file:///a")]
    assert named("completion/complete", ref={"name": "s__p"}) == [("prompts", "s", "p")]
    assert named("completion/complete", ref={"uri": "s+n://{x}"}) == [("resources", "s", "n://{x}")]
    assert named("subscriptions/listen", notifications={"resourceSubscriptions": ["s+n://a", "s+n://b"]}) == [
        ("resources", "s", "n://a"),
        ("resources", "s", "n://b"),
    ]
    assert named("subscriptions/listen", notifications={"toolsListChanged": True}) == []
    assert all(named(method) == [] for method in NAMELESS)
    assert named("tools/rename", name="s__t") is None
    for method, params in (
        ("tools/call", {}),
        ("tools/call", {"name": 1}),
        ("completion/complete", {"ref": "x"}),
        ("completion/complete", {"ref": {}}),
        ("subscriptions/listen", {"notifications": {"resourceSubscriptions": [1]}}),
    ):
        with pytest.raises(RpcError):
            named(method, **params)
