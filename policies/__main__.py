"""The policy pack's process: `pulumi preview --policy-pack policies` starts it, and so does `mcpctl preview`.

The only place that makes a PolicyPack, because that never returns: it prints a port and serves. The stack's
name comes from PULUMI_STACK, or from MCP_POLICY_STACK where that is set; without either, prod's rules hold.
"""

from __future__ import annotations

import os

from pulumi_policy import PolicyPack

from policies.pulumi_adapter import policies
from policies.pulumi_values import adapt_sdk
from policies.rule import environment_of

if __name__ == "__main__":
    adapt_sdk()
    PolicyPack(
        name="mcp-platform",
        description="Kubernetes policies of mcp-platform",
        policies=policies(
            environment_of(os.environ.get("MCP_POLICY_STACK") or os.environ.get("PULUMI_STACK"))
        ),
    )
