# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""No secret is written down: not in an environment, a ConfigMap, an argument or an unmarked Secret."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Final

from policies.family import Family
from policies.node import Node
from policies.objects import KubernetesObject, Pod
from policies.program import Resource
from policies.rule import Enforcement, Findings, Options, Severity, fail

FAMILY: Final = Family("secrets", "Secrets")

_SECRET_NAME: Final = re.compile(
    r"((^|[_\-.])(pass|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|credentials?|auth[_-]?key|signing[_-]?key|encryption[_-]?key|connection[_-]?string|dsn)"
    # words that mean a secret wherever they are: PGPASSWORD, requirepass
    r"|passw(or)?d|passphrase|requirepass|masterauth|redis(cli)?_auth)s?([_\-.]|\d*$)",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
"""Where a word begins in `dbPassword`."""

_REFERENCE_NAME: Final = re.compile(
    r"([_\-.](file|path|dir|url|uri|name|issuer|audience|algorithm|ttl|seconds|minutes|timeout|count|limit|size"
    r"|max|min|type|endpoint|enabled|header|ref|version|id|bytes|expiry)s?)$",
    re.IGNORECASE,
)
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KNOWN_TOKENS: Final = re.compile(
    r"\b(AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{50,}|glpat-[\w-]{20,}"
    r"|xox[baprs]-[A-Za-z0-9-]{10,}|sk-(ant-|proj-)?[A-Za-z0-9_-]{20,}|AIza[\w-]{35}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})"
)
_URL_PASSWORD: Final = re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s:@$(]+@", re.IGNORECASE)
_OPAQUE: Final = re.compile(r"[A-Za-z0-9+/_=-]{32,}\Z")
_HEX: Final = re.compile(r"[0-9a-f]+\Z", re.IGNORECASE)
_BITS_PER_CHARACTER: Final = 4.3
"""Random base64 of 32 characters has about 4.6 bits a character, words and identifiers below 4."""

_ARGUMENT: Final = re.compile(
    r"(?:^|\s)(?P<name>-{1,2}[\w-]+|[A-Z][A-Z0-9_]*(?==))[= ]\s*[\"']?(?P<value>[^\s\"'-][^\s\"']*)"
)
_MADE: Final = frozenset(
    {
        "random:index/randomPassword:RandomPassword",
        "random:index/randomString:RandomString",
        "tls:index/privateKey:PrivateKey",
    }
)
"""What a program makes secrets with."""

_PLACEHOLDERS: Final = ("$", "/", "{{")
"""How a value begins that names where the secret is: a variable, a file, a template to be filled."""


def names_secret(name: str) -> bool:
    """The name promises a secret itself, not where it is or how long it lives."""
    words = _WORD.sub("_", name)
    return bool(_SECRET_NAME.search(words)) and not _REFERENCE_NAME.search(words)


def looks_secret(text: str) -> str | None:
    """What kind of secret the text holds, judged by its form; None for ordinary text."""
    if _PRIVATE_KEY.search(text):
        return "a private key"
    if _KNOWN_TOKENS.search(text):
        return "an access token"
    if _URL_PASSWORD.search(text):
        return "a URL with a password"
    word = text.strip()
    if _OPAQUE.match(word) and not _HEX.match(word) and _entropy(word) > _BITS_PER_CHARACTER:
        return "a random string"
    return None


def _entropy(text: str) -> float:
    """Shannon entropy in bits a character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def literal(name: str, node: Node) -> Findings:
    """A literal value under a name."""
    if node.unknown:
        yield fail(node, "must not hold a secret")
        return
    text = str(node.value) if isinstance(node.value, str | int | float) else ""
    if not text:
        return
    if node.secret:
        yield fail(node, "puts a secret of the program in plain text")
    elif kind := looks_secret(text):
        yield fail(node, f"holds {kind}")
    elif names_secret(name) and not text.startswith(_PLACEHOLDERS):
        yield fail(node, f"{name} holds a literal value")


@FAMILY.pod(
    "secret-in-env",
    "No secret is written into a container's environment",
    Severity.CRITICAL,
    fix="Put it into a Secret and mount that as a file, or refer to it by valueFrom.secretKeyRef.",
    references=("Kubescape C-0012", "CIS 5.4.1"),
)
def secret_in_env(pod: Pod, _options: Options) -> Findings:
    for container in pod.containers():
        for variable in container.at("env").items():
            yield from literal(str(variable.at("name").value or ""), variable.at("value"))


@FAMILY.pod(
    "secret-in-args",
    "No secret is written into a command line",
    Severity.CRITICAL,
    fix="Let the program read the secret from a mounted file.",
    references=("Kubescape C-0012",),
)
def secret_in_args(pod: Pod, _options: Options) -> Findings:
    for container in pod.containers():
        for field in ("command", "args"):
            name = ""
            for word in container.key(field).items():
                text = word.text() or ""
                given = next(filter(_is_literal, _ARGUMENT.finditer(text)), None)
                if given:
                    yield fail(word, f"{given['name']} holds a literal value")
                else:
                    yield from literal(name, word)
                name = text.lstrip("-") if text.startswith("-") and "=" not in text else ""


@FAMILY.object(
    "secret-in-config-map",
    "No secret is written into a ConfigMap",
    Severity.CRITICAL,
    "ConfigMap",
    fix="Move the value to a Secret: whoever may look at the namespace reads ConfigMaps.",
    references=("KSV109", "Kubescape C-0012"),
)
def secret_in_config_map(subject: KubernetesObject, _options: Options) -> Findings:
    for field in ("data", "binaryData"):
        for name, value in subject.node.key(field).entries():
            yield from literal(name, value)
            yield from _settings_in(value)


_SETTING: Final = re.compile(
    r"""(?:^|[{,;&?])\s*["']?(?P<name>[\w.-]+)["']?\s*[:=]\s*["']?(?P<value>[^"'\s#{\[|>][^"'#,;&}]*)"""
)
_REDIS: Final = re.compile(
    r"""\s*(?P<name>requirepass|masterauth)\s+["']?(?P<value>[^"'\s]+)""", re.IGNORECASE
)
_REDIS_USER: Final = re.compile(r"\s*user\s.*\s>\S", re.IGNORECASE)
"""A line of Redis' list of users: `>` begins a password."""


def _is_literal(match: re.Match[str]) -> bool:
    """What a name that promises a secret has for a value is that secret."""
    return names_secret(match["name"].lstrip("-")) and not match["value"].strip().startswith(_PLACEHOLDERS)


def _settings_in(file: Node) -> Findings:
    """`password: x` or `TOKEN=x` on a line of a configuration file."""
    lines = file.value.splitlines() if isinstance(file.value, str) else []
    for number, line in enumerate(lines, start=1):
        matches = [*_SETTING.finditer(line), *filter(None, [_REDIS.match(line)])]
        for match in filter(_is_literal, matches):
            yield fail(file, f"line {number}: {match['name']} holds a literal value")
        if _REDIS_USER.match(line):
            yield fail(file, f"line {number}: the user's password is written down")


@FAMILY.object(
    "plain-secret",
    "A Secret's values are marked secret where they are declared",
    Severity.CRITICAL,
    "Secret",
    fix="Use pulumi.Output.secret, a generated password or ExternalSecrets, and keep the value out of files.",
    references=("CIS 5.4.2",),
)
def plain_secret(subject: KubernetesObject, _options: Options) -> Findings:
    for field in ("data", "stringData"):
        for _, value in subject.node.key(field).entries():
            if not (value.absent or value.secret):
                yield fail(value, "is written down in plain text (base64 is plain text)")


@FAMILY.pod(
    "secret-as-file",
    "Secrets are mounted as files rather than put into the environment",
    Severity.LOW,
    fix="Mount the Secret: an environment shows in crash dumps and child processes, and never changes.",
    references=("CKV_K8S_35", "CIS 5.4.1"),
    dev=Enforcement.ADVISORY,
    prod=Enforcement.ADVISORY,
)
def secret_as_file(pod: Pod, _options: Options) -> Findings:
    for container in pod.containers():
        for variable in container.at("env").items():
            reference = variable.at("valueFrom.secretKeyRef")
            if not reference.absent:
                yield fail(reference, "puts the secret into the environment")
        for source in container.at("envFrom").items():
            reference = source.at("secretRef")
            if not reference.absent:
                yield fail(reference, "puts the whole Secret into the environment")


@FAMILY.resource(
    "secret-not-made-here",
    "The program makes no passwords and keys",
    Severity.MEDIUM,
    fix="Copy them from a secret store (external_secrets): what a program makes stays in its state for good.",
    dev=Enforcement.DISABLED,
    prod=Enforcement.ADVISORY,
)
def secret_not_made_here(resource: Resource, _options: Options) -> Findings:
    if resource.type in _MADE:
        yield fail(resource.node, "is kept in the program's state")
