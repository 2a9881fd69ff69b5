"""What others wrote is text in a comment, and nothing else; and a comment is never too long."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from markdown_it import MarkdownIt

from cli.markdown import code, row, table_head
from cli.preview_markdown import LIMIT, SMALLEST, as_markdown
from cli.preview_words import visible
from infra.engine.violation import Violation
from tests.preview.graphs import graph, kubernetes, report

GITHUB_LIMIT = 65_536
HOSTILE = [
    "a|b",
    "`",
    "``x``",
    "\\",
    "a\\|b",
    "<img src=x onerror=alert(1)>",
    "<!-- -->",
    "</td></table>",
    "@octocat #1 http://x.example",
    "line\nline\r\n| --- |",
    "\u202egnp.exe",
    "\x1b[31m",
    "&lt;b&gt;",
    "```\n<b>",
    " ",
    "[x](javascript:1)",
    "~~~",
    "\u2028",
]


def rendered(markdown: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))


def cells(html: str) -> list[str]:
    return [unescape(text) for text in re.findall(r"<td>(.*?)</td>", html, re.DOTALL)]


@given(some.text() | some.sampled_from(HOSTILE) | some.text("`|\\ <"))
def test_any_text_in_a_cell_is_that_text_as_code(text: str) -> None:
    html = rendered(table_head(["a", "b"]) + row([code(text), "end"]))
    found = cells(html)
    assert len(found) == 2
    assert found[1] == "end"
    expected = visible(text)
    shown = found[0].removeprefix("<code>").removesuffix("</code>")
    assert shown.strip() == expected.strip()
    assert html.count("<code>") == (1 if expected.strip() else html.count("<code>"))


@given(some.text(min_size=1) | some.sampled_from(HOSTILE) | some.text("`|\\ <", min_size=1))
def test_any_text_in_a_line_is_that_text_as_code(text: str) -> None:
    shown = re.fullmatch(r"<p>a (.*) b</p>\n", rendered(f"a {code(text)} b\n"), re.DOTALL)
    assert shown
    assert unescape(shown[1].removeprefix("<code>").removesuffix("</code>")).strip() == visible(text).strip()


def test_control_characters_are_written_out() -> None:
    assert visible("a\x1b[31m\u202eb\nc\td") == "a\\u{1b}[31m\\u{202e}b⏎c d"


def hostile(text: str) -> Any:
    old = kubernetes("core/v1:ConfigMap", text or "x", inputs={"data": {text or "x": "a", "b": text}})
    new = kubernetes("core/v1:ConfigMap", text or "x", inputs={"data": {text or "x": text, "b": "a\nb"}})
    finding = Violation(text, old.urn, text, "mandatory", "high")
    gone = kubernetes("apps/v1:StatefulSet", text or "x", {"template": {"spec": {"containers": []}}})
    return report(graph(old, gone), graph(new), after=(finding,), acknowledged=(text,))


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_program_says_is_markup(text: str) -> None:
    markdown = as_markdown(hostile(text))
    html = rendered(markdown)
    assert set(re.findall(r"<(\w+)", html)) <= {
        *("h3", "h4", "p", "strong", "code", "blockquote", "ul", "li", "table", "thead", "tbody", "tr", "th"),
        *("td", "br", "sub"),
    }
    outside = re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)
    assert "octocat" not in outside
    assert "onerror" not in outside
    assert "\x1b" not in markdown
    assert "\u202e" not in markdown


def many(count: int, size: int = 10) -> Any:
    items = [
        kubernetes("core/v1:ConfigMap", f"c{number}", inputs={"data": {"k": "x" * size}})
        for number in range(count)
    ]
    changed = [
        kubernetes("core/v1:ConfigMap", f"c{number}", inputs={"data": {"k": "y" * size}})
        for number in range(count)
    ]
    findings = tuple(Violation(f"p{number}", "", "m" * size, "mandatory", "high") for number in range(count))
    return report(graph(*items), graph(*changed), after=findings)


def test_a_long_report_is_cut_at_rows_and_counts_the_rest() -> None:
    markdown = as_markdown(many(2000))
    assert len(markdown) <= LIMIT < GITHUB_LIMIT
    shown = len(re.findall(r"^\| ~ changed ", markdown, re.MULTILINE))
    more = [int(number) for number in re.findall(r"^\| … (\d+) more", markdown, re.MULTILINE)]
    assert shown > 100
    assert more[0] == 2000 - shown
    assert "2000 changed" in markdown
    assert markdown.endswith("</sub>\n")


def test_what_one_table_does_not_need_the_others_may_use() -> None:
    assert "more" not in as_markdown(many(50))


@pytest.mark.parametrize("count", [1, 30, 300])
@pytest.mark.parametrize("size", [1, 3000])
def test_no_report_is_longer_than_asked(count: int, size: int) -> None:
    losses = graph(*(kubernetes("apps/v1:StatefulSet", "s" * size + str(n), {}) for n in range(count)))
    said = tuple(f"X/{'y' * size}{number}" for number in range(count))
    both = (many(count, size), report(losses, graph(), acknowledged=said))
    for made in both:
        for limit in (SMALLEST * 3, LIMIT):
            assert len(as_markdown(made, limit)) <= limit
