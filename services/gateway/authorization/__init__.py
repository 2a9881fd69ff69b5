"""Authorization by policy: who may see and use which tools, resources and prompts of which servers."""

from services.gateway.authorization.decisions import UNRESTRICTED, Decision, Rulebook, RuleView, View
from services.gateway.authorization.loading import PolicyError, load_policy
from services.gateway.authorization.matching import Kind
from services.gateway.authorization.model import Trust
from services.gateway.authorization.reloading import PolicyFile

__all__ = [
    "UNRESTRICTED",
    "Decision",
    "Kind",
    "PolicyError",
    "PolicyFile",
    "RuleView",
    "Rulebook",
    "Trust",
    "View",
    "load_policy",
]
