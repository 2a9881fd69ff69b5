"""What `mcpctl preview` refuses before it evaluates anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.preview import Format, preview
from infra.errors import PlatformError


def test_a_revision_of_a_variable_that_is_not_set_is_an_error_not_a_preview_against_nothing() -> None:
    with pytest.raises(
        PlatformError, match=r"there is no revision ''|can't be compared with another revision"
    ):
        preview(offline=True, against="")


def test_two_revisions_are_compared_without_a_cluster_only() -> None:
    with pytest.raises(PlatformError, match="--against compares two revisions"):
        preview(against="main")


def test_what_belongs_to_a_comparison_is_refused_without_one() -> None:
    with pytest.raises(PlatformError, match="go with --against REF"):
        preview(offline=True, format_=Format.JSON)


def test_a_file_whose_form_nobody_can_tell_is_refused() -> None:
    with pytest.raises(PlatformError, match="its suffix tells no format"):
        preview(offline=True, against="main", output=[Path("preview.html")])
