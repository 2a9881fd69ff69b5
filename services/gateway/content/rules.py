"""What is done with the texts of one tool, ready to do it."""

import re
from collections import Counter
from fnmatch import fnmatchcase
from typing import Final

from services.gateway.authorization import Kind
from services.gateway.config_content import Content, Leaks, ToolContent
from services.gateway.content.hidden import IN_JSON, may_hide, strip_hidden
from services.gateway.content.json_strings import rewrite
from services.gateway.content.own_patterns import compile_own
from services.gateway.content.secrets import BUILT_IN, Pattern, Searcher
from services.gateway.targets import Target

MAX_NAMES: Final = 4096
"""How many tools' rules are remembered: callers choose the names."""


class Findings:
    """What was taken out of one message: how many of each kind."""

    def __init__(self) -> None:
        self.hidden: Counter[str] = Counter()
        self.secrets: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self.hidden or self.secrets)


class Rule:
    """How texts of one tool are cleaned."""

    def __init__(self, *, strips: bool, leaks: Leaks, searcher: Searcher | None, limit: int) -> None:
        self.leaks: Leaks = leaks
        self.limit = limit
        """The largest result, in bytes."""
        self._strips = strips
        self._searcher = searcher
        parts = [*([IN_JSON] if strips else []), *([searcher.in_json] if searcher else [])]
        self._suspicious = re.compile(b"|".join(it.pattern for it in parts))

    def may_find(self, data: bytes) -> bool:
        """Whether JSON may hold anything to take out: wrong only by saying yes."""
        return (self._strips and may_hide(data)) or (
            self._searcher is not None and self._searcher.may_find(data)
        )

    def clean(self, data: bytes, findings: Findings) -> bytes:
        """JSON with the rest only; raises ValueError where it isn't valid JSON."""
        return rewrite(data, self._suspicious, lambda text: self.clean_text(text, findings))

    def clean_text(self, text: str, findings: Findings) -> str:
        """One text. What is hidden goes first: it could split a secret."""
        text = self._strip(text, findings)
        if self._searcher is None:
            return text
        text, found = self._searcher.redact(text)
        findings.secrets += found
        # What was meaningful beside a secret may not be so beside a mark.
        return self._strip(text, findings) if found else text

    def _strip(self, text: str, findings: Findings) -> str:
        if not self._strips:
            return text
        text, hidden = strip_hidden(text)
        findings.hidden += hidden
        return text


class Rules:
    """The rules by the tools' names as callers see them."""

    def __init__(self, settings: Content) -> None:
        self._settings = settings
        own = (Pattern(it.name, *_own(it.pattern)) for it in settings.leak_patterns)
        self._searcher = Searcher([*own, *(BUILT_IN[kind] for kind in settings.leak_kinds)])
        self.general = self._rule(None)
        """Of all that is no tool."""
        self.lists = Rule(
            strips=settings.hidden_text == "strip",
            leaks="off",
            searcher=None,
            limit=settings.max_result_bytes,
        )
        self._tools = [(it.match, self._rule(it)) for it in settings.tools]
        self._known: dict[str, Rule] = {}

    def of(self, target: Target) -> Rule:
        """The rule of what is called, got or read; tools may have one of their own."""
        if not self._tools or target.kind is not Kind.TOOL:
            return self.general
        name = target.qualified
        rule = self._known.get(name)
        if rule is None:
            rule = next((rule for match, rule in self._tools if fnmatchcase(name, match)), self.general)
            if len(self._known) >= MAX_NAMES:
                self._known.clear()
            self._known[name] = rule
        return rule

    def _rule(self, tool: ToolContent | None) -> Rule:
        general = self._settings
        hidden = (tool and tool.hidden_text) or general.hidden_text
        leaks = (tool and tool.leaks) or general.leaks
        return Rule(
            strips=hidden == "strip",
            leaks=leaks,
            searcher=None if leaks == "off" else self._searcher,
            limit=(tool and tool.max_result_bytes) or general.max_result_bytes,
        )


def _own(pattern: str) -> tuple[re.Pattern[str], tuple[bytes, ...]]:
    expression, literal = compile_own(pattern)
    return expression, (literal.encode(),)
