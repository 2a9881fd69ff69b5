"""A web ACL for the load balancer in front of the gateway: rates, known attacks, bad addresses.

https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-list.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import wafv2

from infra.components.aws import naming
from infra.naming import Stack
from infra.settings.aws import Waf

MANAGED: Final = (
    ("AWSManagedRulesAmazonIpReputationList", ()),
    ("AWSManagedRulesKnownBadInputsRuleSet", ()),
    # Arguments of tools are larger than a form and hold paths, addresses, markup; the gateway bounds them.
    (
        "AWSManagedRulesCommonRuleSet",
        ("SizeRestrictions_BODY", "CrossSiteScripting_BODY", "GenericLFI_BODY", "GenericRFI_BODY"),
    ),
)
"""Groups of rules that AWS keeps, and those of their rules that only count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebAclArgs:
    """One web ACL.

    Attributes:
        stack: The stack.
        settings: How much a client may send.
    """

    stack: Stack
    settings: Waf


def _visible(name: str) -> wafv2.WebAclVisibilityConfigArgs:
    return wafv2.WebAclVisibilityConfigArgs(
        cloudwatch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )


def _seen(name: str) -> wafv2.WebAclRuleVisibilityConfigArgs:
    # Samples would keep the bearer tokens of requests.
    return wafv2.WebAclRuleVisibilityConfigArgs(
        cloudwatch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )


def build_rate_rule(limit: int) -> wafv2.WebAclRuleArgs:
    """Addresses that send more in five minutes wait until they are below it."""
    return wafv2.WebAclRuleArgs(
        name="rate",
        priority=0,
        action=wafv2.WebAclRuleActionArgs(block=wafv2.WebAclRuleActionBlockArgs()),
        statement=wafv2.WebAclRuleStatementArgs(
            rate_based_statement=wafv2.WebAclRuleStatementRateBasedStatementArgs(
                limit=limit, aggregate_key_type="IP", evaluation_window_sec=300
            )
        ),
        visibility_config=_seen("rate"),
    )


def build_managed_rule(priority: int, group: str, counted: Sequence[str]) -> wafv2.WebAclRuleArgs:
    """A group that AWS keeps up to date; `counted` are its rules that refuse nothing."""
    overrides = [
        wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideArgs(
            name=rule,
            action_to_use=wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseArgs(
                count=wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseCountArgs()
            ),
        )
        for rule in counted
    ]
    return wafv2.WebAclRuleArgs(
        name=group,
        priority=priority,
        override_action=wafv2.WebAclRuleOverrideActionArgs(none=wafv2.WebAclRuleOverrideActionNoneArgs()),
        statement=wafv2.WebAclRuleStatementArgs(
            managed_rule_group_statement=wafv2.WebAclRuleStatementManagedRuleGroupStatementArgs(
                vendor_name="AWS", name=group, rule_action_overrides=overrides or None
            )
        ),
        visibility_config=_seen(group),
    )


class WebAcl(pulumi.ComponentResource):
    """A regional web ACL; the load balancer's controller associates it by its ARN.

    Attributes:
        arn: Known after it is made.
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: WebAclArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mcp:aws:WebAcl", name, None, opts)
        own = naming.name(args.stack, "edge")
        managed = [
            build_managed_rule(priority, group, counted)
            for priority, (group, counted) in enumerate(MANAGED, start=1)
        ]
        acl = wafv2.WebAcl(
            name,
            name=own,
            description=f"In front of stack {args.stack.name}",
            scope="REGIONAL",
            default_action=wafv2.WebAclDefaultActionArgs(allow=wafv2.WebAclDefaultActionAllowArgs()),
            rules=[build_rate_rule(args.settings.requests_per_five_minutes), *managed],
            visibility_config=_visible(own),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = acl.arn
        self.register_outputs({"arn": self.arn})
