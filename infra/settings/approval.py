"""Settings of approval: which calls wait for the caller's human."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from infra.settings.fields import Group


class Approval(Group):
    """Which calls wait for the approval of the caller's human, besides those that the policy says."""

    by_annotation: Literal["explicit", "default", "off"] = "explicit"
    """`explicit`: tools that their server calls destructive; `default`: also those of which it says nothing,
    as MCP's defaults have it; `off`: none."""
    seconds: int = Field(default=300, ge=1, le=3600)
    """For the answer to a question, and for each further round of an approved call."""
    without_redis: Literal["local", "closed"] = "local"
    """While Redis is away: each replica knows of the approvals that it saw used, or calls that need one and
    may not be repeated are refused."""
