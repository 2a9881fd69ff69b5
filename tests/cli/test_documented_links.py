"""Every link between documents leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.documented import REPOSITORY, documents

LINK = re.compile(r"\]\((?!https?:|mailto:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")


def anchors(text: str) -> set[str]:
    """As code hosts make them of headings."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead(document: Path, text: str) -> list[str]:
    """The links of a document that lead nowhere."""
    found: list[str] = []
    for link in LINK.finditer(text):
        target = document.parent / link["path"] if link["path"] else document
        wrong_anchor = (
            link["anchor"] and target.suffix == ".md" and target.exists()
            and link["anchor"] not in anchors(target.read_text())
        )  # fmt: skip
        if not target.exists() or wrong_anchor:
            found.append(link[0])
    return found


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(document: Path) -> None:
    assert dead(document, document.read_text()) == []


@pytest.mark.parametrize("link", ["(nowhere.md)", "(README.md#no-such-part)", "(#neither)"])
def test_dead_links_are_found(link: str) -> None:
    assert dead(REPOSITORY / "CONTRIBUTING.md", f"[a]{link}")
