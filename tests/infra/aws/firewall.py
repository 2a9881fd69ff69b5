# ruff: noqa: N802 - methods are named after the types that they make, and all have the same parameters
"""Web ACLs."""

from __future__ import annotations

from typing import Any

from tests.infra.aws.making import Inputs, Maker, pascal


class Firewall(Maker):
    """WAF."""

    def make_wafv2_WebAcl(self, name: str, inputs: Inputs) -> None:
        kept = {key: value for key, value in inputs.items() if key not in {"rules", "tags"}}
        rules = [self._rule(rule) for rule in inputs["rules"]]
        asked = {**pascal(kept, cloudwatchMetricsEnabled="CloudWatchMetricsEnabled"), "Rules": rules}
        made = self.server.client("wafv2").create_web_acl(**asked)
        self.ids[f"webAcl/{name}"] = made["Summary"]["Id"]

    def read_wafv2_WebAcl(self, name: str, inputs: Inputs) -> dict[str, Any]:
        found = self._get(name, inputs["name"])
        seen = found["VisibilityConfig"]
        return {
            "name": found["Name"],
            "description": found["Description"],
            "defaultAction": {key.lower(): value for key, value in found["DefaultAction"].items()},
            "visibilityConfig": {
                "cloudwatchMetricsEnabled": seen["CloudWatchMetricsEnabled"],
                "metricName": seen["MetricName"],
                "sampledRequestsEnabled": seen["SampledRequestsEnabled"],
            },
        }

    def rules_of(self, acl: str) -> list[dict[str, Any]]:
        """The rules that the account has, in their order."""
        (name,) = (key.partition("/")[2] for key in self.ids if key.startswith("webAcl/"))
        return sorted(self._get(name, acl)["Rules"], key=lambda rule: rule["Priority"])

    def _get(self, name: str, acl: str) -> dict[str, Any]:
        wanted = {"Name": acl, "Scope": "REGIONAL", "Id": self.ids[f"webAcl/{name}"]}
        return self.server.client("wafv2").get_web_acl(**wanted)["WebACL"]

    def _rule(self, rule: Inputs) -> Any:
        return pascal(
            rule,
            cloudwatchMetricsEnabled="CloudWatchMetricsEnabled",
            ruleActionOverrides="RuleActionOverrides",
            evaluationWindowSec="EvaluationWindowSec",
        )
