"""Calls that may destroy something wait for the approval of the caller's human."""

from services.gateway.approval.gate import Approvals
from services.gateway.approval.single_use import SingleUse

__all__ = ["Approvals", "SingleUse"]
