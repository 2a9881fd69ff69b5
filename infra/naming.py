"""Names of everything that is deployed. Pure: the same stack always gets the same names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from infra.errors import PlatformError
from infra.secret_source import SecretSource

PROJECT: Final = "mcp-platform"

GATEWAY: Final = "gateway"
REDIS: Final = "redis"
POSTGRES: Final = "postgres"
BACKUP: Final = "backup"
BACKUP_CONFIGURATION: Final = "backup-configuration"
BACKUP_POSTGRES: Final = "backup-postgres"
BACKUP_REDIS: Final = "backup-redis"
ALL_BACKUPS: Final = "all-backups"
RESTORE: Final = "restore"
RESTORE_CONFIGURATION: Final = "restore-configuration"
RESTORE_DRILL: Final = "restore-drill"
RESTORE_POSTGRES: Final = "restore-postgres"
RESTORE_REDIS: Final = "restore-redis"
BACKUPS_OF: Final = (BACKUP_CONFIGURATION, BACKUP_POSTGRES, BACKUP_REDIS)
"""Jobs that write to the bucket; each has a service account of its own."""
RESTORES_OF: Final = (RESTORE_CONFIGURATION, RESTORE_DRILL, RESTORE_POSTGRES, RESTORE_REDIS)
"""Jobs that read it."""
EXTERNAL_SECRETS: Final = "external-secrets"
GATEWAY_LOCK: Final = "gateway-lock"
GATEWAY_POLICY: Final = "gateway-policy"
GATEWAY_DATABASE: Final = "gateway-database"
TOKEN_ISSUER: Final = "token-issuer"  # noqa: S105 - an object's name, not a token
ISSUER_KEYS: Final = "gateway-issuer-keys"
STATE_KEYS: Final = "gateway-state-keys"
EDGE: Final = "edge"
EDGE_CERTIFICATE: Final = "edge-tls"
EDGE_REDIRECT: Final = "edge-redirect"
ACME_SOLVER: Final = "acme-solver"
SECRET_STORE: Final = "secrets-manager"  # noqa: S105 - an object's name
ALERTS: Final = "alerts"
OBJECTIVES: Final = "objectives"
BACKUPS: Final = "backups"
DEFAULT_DENY: Final = "default-deny"
EVERY_POD: Final = "every-pod"
SERVERS: Final = "all-servers"
SERVICES: Final = "all-services"
PEERS: Final = "default"
"""What Istio's documentation calls the PeerAuthentication of a whole namespace."""
WAYPOINT: Final = "waypoint"
TELEMETRY: Final = "telemetry"
COLLECTOR: Final = "otel-collector"
LOG_COLLECTOR: Final = "log-collector"

RESERVED: Final = frozenset(
    {
        *(
            GATEWAY,
            GATEWAY_LOCK,
            GATEWAY_POLICY,
            GATEWAY_DATABASE,
            REDIS,
            POSTGRES,
            BACKUP,
            RESTORE,
            EXTERNAL_SECRETS,
        ),
        *(BACKUP_CONFIGURATION, BACKUP_POSTGRES, BACKUP_REDIS, ALL_BACKUPS),
        *(RESTORE_CONFIGURATION, RESTORE_DRILL, RESTORE_POSTGRES, RESTORE_REDIS),
        *(ACME_SOLVER, EDGE, TOKEN_ISSUER, ISSUER_KEYS, STATE_KEYS, PROJECT, PEERS),
        *(DEFAULT_DENY, EVERY_POD, SERVERS, SERVICES, WAYPOINT),
        # Of replicated stores; the last three are CloudNativePG's Services.
        *(f"{REDIS}-members", f"{POSTGRES}-rw", f"{POSTGRES}-ro", f"{POSTGRES}-r"),
        *(COLLECTOR, LOG_COLLECTOR),
    }
)
"""Object names that a tool server must not take."""

OWN_SECRETS: Final = frozenset(
    {
        "redis-auth",
        "redis-replication",
        "postgres-auth",
        GATEWAY_DATABASE,
        STATE_KEYS,
        TOKEN_ISSUER,
        ISSUER_KEYS,
    }
)
"""Secrets that a stack declares, or may, whatever its settings say of others."""

DNS_LABEL: Final = r"[a-z]([-a-z0-9]*[a-z0-9])?"
"""RFC 1035 label, what Kubernetes asks of a Service's name."""

_NAMESPACE_PREFIX: Final = "mcp-"
_LOGS_PREFIX: Final = "logs-"
"""No stack's own namespace begins with it."""
_STACK: Final = re.compile(DNS_LABEL)
_LABEL_LENGTH: Final = 63


@dataclass(frozen=True, slots=True)
class Stack:
    """Which deployment of the platform this is.

    Attributes:
        name: Pulumi's stack name.
        production: Whether losing data or availability would hurt somebody.
        secrets: Where its secrets come from; None where the program makes them.
    """

    name: str
    production: bool
    secrets: SecretSource | None = None

    @property
    def namespace(self) -> str:
        """The namespace that holds all of the stack's objects, but for those that collect logs."""
        return namespace(self.name)

    @property
    def logging_namespace(self) -> str:
        """The namespace of what collects its logs.

        Raises:
            PlatformError: The stack's name is too long for it.
        """
        return logging_namespace(self.name)


def namespace(stack: str) -> str:
    """Namespace of a stack.

    Raises:
        PlatformError: The stack's name can't be part of a namespace's.
    """
    longest = _LABEL_LENGTH - len(_NAMESPACE_PREFIX)
    if len(stack) > longest or not _STACK.fullmatch(stack):
        raise PlatformError(
            f"stack {stack}: the name must be a DNS label: lower-case letters, digits and hyphens, "
            f"a letter first, at most {longest} characters",
            hint="The namespace of a stack is mcp-<stack>. Choose another stack name.",
        )
    return _NAMESPACE_PREFIX + stack


def logging_namespace(stack: str) -> str:
    """Namespace of what collects a stack's logs.

    Raises:
        PlatformError: The stack's name is too long for it.
    """
    name = _LOGS_PREFIX + namespace(stack)
    if len(name) > _LABEL_LENGTH:
        longest = _LABEL_LENGTH - len(_LOGS_PREFIX + _NAMESPACE_PREFIX)
        raise PlatformError(
            f"stack {stack}: the name must have at most {longest} characters where logging is set",
            hint=f"The namespace of its log collectors is {_LOGS_PREFIX}{_NAMESPACE_PREFIX}<stack>.",
        )
    return name


def priority(stack: str, tier: str) -> str:
    """The PriorityClass of some pods of a stack."""
    return f"{namespace(stack)}-{tier}"


def embedded_context(cluster: str) -> str:
    """Kubeconfig context of an embedded cluster."""
    return f"mcp-{cluster}"


def members(store: str) -> str:
    """The Service by which the members of a replicated store have names."""
    return f"{store}-members"


def member(store: str, number: int) -> str:
    """Host name of one member, inside of the namespace."""
    return f"{store}-{number}.{members(store)}"


def dashboard(name: str) -> str:
    """ConfigMap of a Grafana dashboard."""
    return f"dashboard-{name}"


def requests_policy(server: str) -> str:
    """Policy on the requests to a server; no server's own name has a dot."""
    return f"requests.{server}"


def dev_issuer(stack: str) -> str:
    """`iss` of the tokens that `mcpctl token` signs with the stack's own key; nothing listens there."""
    return f"https://{TOKEN_ISSUER}.{namespace(stack)}.internal"
