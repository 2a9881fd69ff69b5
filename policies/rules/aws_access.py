# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Who may do what in AWS: roles without stars and without keys, and closed security groups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from policies.addresses import is_everybody
from policies.aws import statements, texts
from policies.family import Family
from policies.node import Node
from policies.objects import Pod
from policies.program import Resource
from policies.rule import Findings, Options, Severity, fail, forbid, require

FAMILY: Final = Family("aws-access", "Roles and networks in AWS", together="cloud")

_DOCUMENTS: Final = (
    "aws:iam/groupPolicy:GroupPolicy",
    "aws:iam/policy:Policy",
    "aws:iam/role:Role",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/userPolicy:UserPolicy",
)
_ATTACHMENTS: Final = (
    "aws:iam/policyAttachment:PolicyAttachment",
    "aws:iam/role:Role",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:iam/userPolicyAttachment:UserPolicyAttachment",
)
_KEY: Final = "aws:iam/accessKey:AccessKey"
_PEOPLE: Final = (
    _KEY,
    "aws:iam/user:User",
    "aws:iam/userLoginProfile:UserLoginProfile",
)
_GROUP: Final = "aws:ec2/securityGroup:SecurityGroup"
_INGRESS: Final = (
    "aws:ec2/securityGroupRule:SecurityGroupRule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
)
_WITHOUT_RESOURCE: Final = frozenset(
    {
        "cloudwatch:PutMetricData",
        "ecr:GetAuthorizationToken",
        "s3:ListAllMyBuckets",
        "sts:GetCallerIdentity",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }
)
"""Actions that AWS knows no resources for: `*` is all one can write there."""

_ALL_ACTIONS: Final = re.compile(r"(^|:)[*?]*\*[*?]*\Z")
_WIDE: Final = re.compile(
    r":policy/(.*/)?(AdministratorAccess|PowerUserAccess|IAMFullAccess|\w+FullAccess)\Z"
)
_KEYS: Final = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})
_TAKEN_BY_MANY: Final = ("AWS", "Federated")
_PODS: Final = "pods.eks.amazonaws.com"


def _allowed(resource: Resource) -> Iterator[Node]:
    """The statements that allow something, of all documents of the resource."""
    inline = [item.key("policy") for item in resource.node.key("inlinePolicies").items()]
    for document in (resource.node.key("policy"), *inline):
        for statement in statements(document):
            if statement.unknown or statement.at("Effect").value != "Deny":
                yield statement


@FAMILY.resource(
    "iam-no-star",
    "Policies name their actions and resources",
    Severity.CRITICAL,
    *_DOCUMENTS,
    fix="List the actions that are needed, and the ARNs that they are needed for.",
    references=("CIS AWS 1.16", "Checkov CKV_AWS_62", "Checkov CKV_AWS_355"),
)
def iam_no_star(resource: Resource, _options: Options) -> Findings:
    for statement in _allowed(resource):
        actions = texts(statement.key("Action"))
        for action in actions:
            yield from forbid(action, lambda value: bool(_ALL_ACTIONS.search(str(value))), "allows all")
        if statement.unknown or not all(action.value in _WITHOUT_RESOURCE for action in actions):
            for item in texts(statement.key("Resource")):
                yield from forbid(item, lambda value: value == "*", "is every resource")
        for field in ("NotAction", "NotResource"):
            if not statement.unknown and not statement.key(field).absent:
                yield fail(statement.key(field), "allows all but what it names")


@FAMILY.resource(
    "iam-no-wide-policy",
    "No role has one of AWS's policies that allow nearly everything",
    Severity.CRITICAL,
    *_ATTACHMENTS,
    fix="Attach a policy that names what is needed.",
    references=("CIS AWS 1.16", "Checkov CKV_AWS_274"),
)
def iam_no_wide_policy(resource: Resource, _options: Options) -> Findings:
    for item in (resource.node.key("policyArn"), *resource.node.key("managedPolicyArns").items()):
        yield from forbid(item, lambda value: bool(_WIDE.search(str(value))), "allows nearly everything")


@FAMILY.resource(
    "iam-no-keys",
    "Nobody has long-lived keys",
    Severity.CRITICAL,
    *_PEOPLE,
    fix="Use a role: Pod Identity or IRSA for pods, the account's own sign-in for people.",
    references=("CIS AWS 1.4", "CIS AWS 1.15", "Checkov CKV_AWS_273"),
)
def iam_no_keys(resource: Resource, _options: Options) -> Findings:
    if resource.type == _KEY:
        status = resource.node.key("status")
        yield from require(
            status, lambda value: value == "Inactive", "must be Inactive until the key is gone"
        )
    else:
        yield fail(resource.node, "stands for keys or passwords that never end")


@FAMILY.resource(
    "iam-trust-narrow",
    "Only the ones that are meant may take a role",
    Severity.HIGH,
    "aws:iam/role:Role",
    fix="Name the principal, and add a Condition with the cluster and the service account.",
    references=("Checkov CKV_AWS_60", "AWS: the confused deputy problem"),
)
def iam_trust_narrow(role: Resource, _options: Options) -> Findings:
    document = role.node.key("assumeRolePolicy")
    yield from require(document, bool, "must say who may take the role")
    for statement in statements(document):
        if statement.unknown or statement.at("Effect").value == "Deny":
            continue  # an unknown document has its finding
        principal = statement.key("Principal")
        if principal.value == "*":
            yield fail(principal, "lets everybody take the role")
            continue
        for kind, who in principal.entries():
            for item in texts(who):
                if item.value == "*":
                    yield fail(item, "lets everybody take the role")
                elif (kind in _TAKEN_BY_MANY or item.value == _PODS) and not statement.key("Condition").value:
                    yield fail(item, "stands for many, and no Condition says which of them")


@FAMILY.resource(
    "security-group-closed",
    "No security group lets the whole internet in",
    Severity.HIGH,
    _GROUP,
    *_INGRESS,
    fix="Name the clients' security groups or networks.",
    references=("CIS AWS 5.2", "Checkov CKV_AWS_260", "Checkov CKV_AWS_277"),
)
def security_group_closed(resource: Resource, _options: Options) -> Findings:
    node = resource.node
    if node.key("type").value == "egress":
        return
    rules = [node, *(node.key("ingress").items() if resource.type == _GROUP else ())]
    for rule in rules:
        blocks = [rule.key("cidrIpv4"), rule.key("cidrIpv6")]
        blocks += [block for name in ("cidrBlocks", "ipv6CidrBlocks") for block in rule.key(name).items()]
        for block in blocks:
            yield from forbid(block, is_everybody, "is everybody")


@FAMILY.resource(
    "aws-account-pinned",
    "The program works in one account only",
    Severity.HIGH,
    "pulumi:providers:aws",
    fix="Set allowedAccountIds and region on the provider: other credentials are then refused.",
)
def aws_account_pinned(provider: Resource, _options: Options) -> Findings:
    for name in ("allowedAccountIds", "region"):
        yield from require(provider.node.key(name), lambda value: value not in ("", "[]", []), "must be set")


@FAMILY.pod(
    "aws-no-keys-in-pods",
    "Pods have AWS roles, not keys",
    Severity.HIGH,
    fix="Use Pod Identity or IRSA: the variables, even from a Secret, hold a key that never ends.",
    references=("CIS AWS 1.15",),
)
def aws_no_keys_in_pods(pod: Pod, _options: Options) -> Findings:
    for container in pod.containers():
        for variable in container.at("env").items():
            name = variable.at("name")
            if name.unknown or name.text() in _KEYS:
                yield fail(name, "holds a key that never ends")
