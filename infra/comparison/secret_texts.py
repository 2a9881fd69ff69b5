"""Secrets inside of texts: settings, commands, what a failing program prints. It needs nothing but Python."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import quote

HIDDEN: Final = "(secret)"

_WORDS: Final = (
    r"password|passwd|pwd|passphrase|secret|token|credential|connection[_-]?string|dsn|authorization"
    r"|(?:api|auth|access|secret|private|signing|encryption|session)[_-]?key"
    r"|requirepass|masterauth|masterpass|auth[_-]?pass|rediscli_auth|(?<![a-z0-9])pass|(?-i:(?<=[a-z])Pass)"
)
_NAME: Final = re.compile(
    rf"(?:^|[._\-]|(?<=[a-z0-9]))(?:(?:{_WORDS})(?:_?pem)?|passwords|secrets|credentials)$", re.IGNORECASE
)
_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----|.*)", re.DOTALL
)
_TOKEN: Final = re.compile(
    r"client-key-data:\s*\S*|\beyJ[\w-]+\.[\w-]+\.[\w-]*"
    r"|\bA[KS]IA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\w*|\bgithub_pat_\w{22,}|\bglpat-[\w-]{20,}"
    r"|\bxox[abeoprs]-[\w-]{10,}|\bsk-(?:ant-|proj-)?[\w-]{20,}|\bAIza[\w-]{35,}|\bhvs\.[\w-]{20,}"
    r"|\bpul-[0-9a-f]{40}|hooks\.slack\.com/(?:services|workflows|triggers)/[^\s\"'<>]+"
)
"""Tokens that begin with a service's own letters."""
_AWS_SECRET_KEY: Final = re.compile(
    r"(?<![\w/+=.-])(?=[^\s]{0,39}[A-Z])(?=[^\s]{0,39}[a-z])(?=[^\s]{0,39}[0-9])[A-Za-z0-9/+]{40}(?![\w/+=.-])"
)
"""Forty characters of base64, which a commit's hash is not: it has no capitals."""
_BEARER: Final = re.compile(
    r"\b(bearer[ \t]+)(?:(?=[^\s\d]*\d)[\w.~+/-]{6,}|[\w.~+/-]{20,})=*", re.IGNORECASE
)
_LOGIN: Final = re.compile(r"(?<=://)(?:[^/\s\"'<>]+|[^/\s\"'<>:@]*:(?!\d+/)[^\s\"'<>@]+)(?=@)")

_QUOTED: Final = r"""\\*"(?:[^"\\\n]|\\.)*"|'[^'\n]*'"""
_VALUE: Final = rf"""[|>][-+0-9]*[ \t]*\n(?:[ \t]+[^\n]*(?:\n|\Z))+|{_QUOTED}|[^\n]+"""
_ASSIGNED: Final = re.compile(
    rf"""(?<!:)((?:{_WORDS})(?:\\*["'])?[ \t]*[:=][ \t]*|(?<![\w-])--?[\w-]*(?:{_WORDS})[ \t]+)({_VALUE})""",
    re.IGNORECASE,
)
"""`password: …` in a text of several settings, `--password=…`, `--password …`; not an ARN's `:secret:…`."""
_ITEM: Final = rf"(?:{_QUOTED}|[^\s,\]]+)"
_NEXT_ITEM: Final = re.compile(
    rf"""((?<![\w-])(?:--?[\w-]*(?:{_WORDS})|-p)\\*["']?"""
    rf"""(?:\s*,\s*|[ \t]*\\\n\s*|[ \t]*\n\s*-[ \t]+))({_ITEM})""",
    re.IGNORECASE,
)
"""`["--password", "…"]`, `- --password` and `- …` below it, a line that goes on after a backslash."""
_BEFORE: Final = ("requirepass", "masterauth", "masterpass", "aws_secret_access_key", "aws_session_token")
"""Words whose next one is the secret, as in `CONFIG SET requirepass …`."""
_DIRECTIVE: Final = re.compile(
    rf"""\b((?:{"|".join(_BEFORE)}|auth-pass[ \t]+\S+)"""
    rf"""\\*["']?[ \t,]+)(?![=:])({_ITEM})""",
    re.IGNORECASE,
)
"""Redis' and Sentinel's configuration, `CONFIG SET requirepass …`, `aws configure set …`."""
_IN_SQL: Final = re.compile(rf"\b((?:password|identified by)\s+)({_QUOTED})", re.IGNORECASE)
_ACCOUNT: Final = re.compile(
    r"^[ \t]*user[ \t]+\S+[ \t][^\n]*|\bacl[ \t]+setuser[ \t][^\n]*", re.IGNORECASE | re.MULTILINE
)
_ACCOUNT_PASSWORD: Final = re.compile(r"(?<=\s)([>#])[^\s\"']+")
"""`user default on >password`, of Redis' access lists."""

_FLAG: Final = re.compile(rf"(?:--|-(?!-))(?!no-|without-)[\w-]*(?:{_WORDS})", re.IGNORECASE)
_LOGIN_FLAG: Final = re.compile(r"-u|--(?:proxy-)?user")
_OF_USERS: Final = re.compile(r"(?!\d+:\d+$)[^\s:]+:\S+")
"""`name:password`; two numbers are a user and a group."""
_OTHER_P: Final = frozenset(
    {
        *("cp", "createdb", "cut", "declare", "dropdb", "export", "git"),
        *("grep", "install", "make", "mkdir", "nc", "ncat", "netcat"),
        *("nmap", "patch", "perl", "pg_basebackup", "pg_dump", "pg_dumpall", "pg_isready"),
        *("pg_restore", "pgbench", "ps", "psql", "read", "redis-benchmark", "redis-cli"),
        *("redis-server", "rmdir", "rsync", "scp", "sed", "ss", "ssh"),
        *("tar", "test", "time", "touch", "valkey-benchmark", "valkey-cli", "valkey-server"),
    }
)
"""Programs whose `-p` takes a port or a path, or nothing."""
_REDIS_CLIENTS: Final = frozenset({"redis-cli", "redis-benchmark", "valkey-cli", "valkey-benchmark"})
_GLUED: Final = frozenset(
    {"mariadb", "mariadb-admin", "mariadb-dump", "mysql", "mysqladmin", "mysqldump", "sshpass"}
)
"""Programs whose `-p` is followed by the password at once."""
_AROUND: Final = frozenset(
    {"command", "env", "exec", "nice", "nohup", "sudo", "timeout", "tini", "dumb-init"}
)
"""Programs that run the one that is named after them."""
_COMMANDS: Final = re.compile(rf"(?:{_QUOTED}|[^\n;|&()])+")
_WORD: Final = re.compile(rf"(?:{_QUOTED}|[^\s\"']+)+")

_SETTING: Final = re.compile(r"(?m)^.{0,200}?\bstack [\w-]+: [\w.\[\]-]+(?: = \(hidden\))?: ")
"""How messages about settings begin: what they are called may well be `token`."""
_SHORTEST: Final = 6
"""Characters of a secret that is looked for as it is: a shorter one is in ordinary words, too."""


def is_secret_name(name: str) -> bool:
    """Whether what is called so is a secret: `DB_PASSWORD`, `apiKey`."""
    return bool(_NAME.search(name))


def scrubbed(text: str) -> str:
    """A setting without keys, tokens, passwords and the logins of addresses."""
    if _PRIVATE_KEY.search(text) or _TOKEN.search(text):
        return HIDDEN
    return _without_assigned(_LOGIN.sub(HIDDEN, text))


def without_tokens(text: str) -> str:
    """A sentence without what is a secret wherever it is: its own words may speak of tokens."""
    text = _TOKEN.sub(HIDDEN, _PRIVATE_KEY.sub(HIDDEN, text))
    return _BEARER.sub(rf"\1{HIDDEN}", _LOGIN.sub(HIDDEN, text))


def printed(text: str, known: Iterable[str] = ()) -> str:
    """What a program printed, without secrets; `known` ones are also found where they are encoded."""
    forms = {form for value in known if len(value) >= _SHORTEST for form in _forms(value)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return _without_assigned(_AWS_SECRET_KEY.sub(HIDDEN, without_tokens(text)))


def secret_items(words: Sequence[str]) -> set[int]:
    """Which words of a command line are secrets: what stands after `--password`, `-p` and their like."""
    program = _program(words)
    found: set[int] = set()
    for place, word in enumerate(words):
        if program in _GLUED and re.match(r"-p.", word):
            found.add(place)
        if place and _takes_secret(words[place - 1], word, program):
            found.add(place)
    return found


def _takes_secret(flag: str, value: str, program: str) -> bool:
    if flag == "-p":
        return program not in _OTHER_P
    if flag == "-a":
        return program in _REDIS_CLIENTS
    if flag == "-w":
        return program.startswith("ldap")
    if _LOGIN_FLAG.fullmatch(flag):
        return bool(_OF_USERS.fullmatch(value))
    return bool(_FLAG.fullmatch(flag)) or flag.lower() in _BEFORE


def _program(words: Iterable[str]) -> str:
    """What a command line runs, without what it is wrapped in; "" if it only has arguments."""
    for word in words:
        name = word.rpartition("/")[2]
        if name in _AROUND or "=" in word or re.fullmatch(r"--|[\d.]+[smhd]?", word):
            continue
        return "" if word.startswith("-") else name
    return ""


def _without_assigned(text: str) -> str:
    """Without the values of what is called password and the like."""
    text = _NEXT_ITEM.sub(rf"\1{HIDDEN}", text)
    text = _DIRECTIVE.sub(rf"\1{HIDDEN}", _IN_SQL.sub(rf"\1{HIDDEN}", text))
    text = _ACCOUNT.sub(lambda line: _ACCOUNT_PASSWORD.sub(rf"\1{HIDDEN}", line[0]), text)
    text = _COMMANDS.sub(_without_words, text)
    spans = [found.span() for found in _SETTING.finditer(text)]

    def hidden(found: re.Match[str]) -> str:
        named = any(start <= found.start() < end for start, end in spans)
        return found[1] + (_without_assigned(found[2]) if named else HIDDEN)

    return _ASSIGNED.sub(hidden, text)


def _without_words(command: re.Match[str]) -> str:
    """A command of a script without the words that are secrets."""
    text = command[0]
    if " -" not in text:
        return text
    words = list(_WORD.finditer(text))
    hidden = secret_items([word[0].strip("\"'") for word in words])
    for place, word in reversed(list(enumerate(words))):
        inner = word[0][1:-1] if word[0][0] in "\"'" else ""  # as `sh -c '…'` has one
        shown = word[0].replace(inner, _COMMANDS.sub(_without_words, inner)) if " " in inner else word[0]
        text = text[: word.start()] + (HIDDEN if place in hidden else shown) + text[word.end() :]
    return text


def _forms(value: str) -> Iterator[str]:
    """A secret as it is, in an address, and in base64."""
    yield value
    yield quote(value, safe="")
    yield base64.b64encode(value.encode()).decode()
