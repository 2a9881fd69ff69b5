# ruff: noqa: N802, ARG002 - methods are named after the types that they make, and all have the same parameters
"""Roles, and which pods take them."""

from __future__ import annotations

import json
from typing import Any

from tests.infra.aws.making import Inputs, Maker


class Identities(Maker):
    """IAM and EKS."""

    def _iam(self) -> Any:
        return self.server.client("iam")

    def make_iam_Role(self, name: str, inputs: Inputs) -> None:
        self._iam().create_role(
            RoleName=inputs["name"],
            AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
            MaxSessionDuration=inputs["maxSessionDuration"],
        )

    def read_iam_Role(self, name: str, inputs: Inputs) -> dict[str, Any]:
        role = self._iam().get_role(RoleName=inputs["name"])["Role"]
        return {
            "name": role["RoleName"],
            "maxSessionDuration": role["MaxSessionDuration"],
            "assumeRolePolicy": json.dumps(role["AssumeRolePolicyDocument"]),
        }

    def make_iam_RolePolicy(self, name: str, inputs: Inputs) -> None:
        self._iam().put_role_policy(
            RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"]
        )

    def read_iam_RolePolicy(self, name: str, inputs: Inputs) -> dict[str, Any]:
        found = self._iam().get_role_policy(RoleName=inputs["role"], PolicyName=inputs["name"])
        return {
            "role": found["RoleName"],
            "name": found["PolicyName"],
            "policy": json.dumps(found["PolicyDocument"]),
        }

    def make_eks_PodIdentityAssociation(self, name: str, inputs: Inputs) -> None:
        self.check("eks", "CreatePodIdentityAssociation", **inputs)
        self._iam().get_role(RoleName=inputs["roleArn"].rpartition("/")[2])

    def read_eks_PodIdentityAssociation(self, name: str, inputs: Inputs) -> dict[str, Any]:
        return dict(inputs)
