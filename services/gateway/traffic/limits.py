"""Rate limits: of the gateway as a whole, of each principal, and of each tool."""

import hashlib
import math
from fnmatch import fnmatchcase
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter

from services.gateway.config import Limits
from services.gateway.errors import RATE_LIMITED, HttpRefusal
from services.gateway.traffic.gcra import LocalGcra, Quota, Refused
from services.gateway.traffic.shared_limits import SharedGcra
from services.gateway.traffic.shared_store import SharedStore, StoreDownError
from services.kit.tokens import Principal

_MESSAGES: Final = {
    "gateway": "the gateway as a whole gets more requests than it is set to take",
    "principal": "you send more requests than you may",
    "tool": "this tool is called more often than it may be",
}


class Limiter:
    """Lets requests in as long as they keep to the limits."""

    def __init__(self, settings: Limits, store: SharedStore | None, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._local = LocalGcra()
        self._shared = None if store is None else SharedGcra(store)
        self._active = bool(settings.gateway or settings.principal or settings.tools)
        self._gateway = Quota.of("gateway", "limit:gateway", settings.gateway) if settings.gateway else None
        self._hits = Counter(
            "mcp_rate_limit_hits_total",
            "Requests refused for being too many, by the limit that they exceeded.",
            ["scope"],
            registry=registry,
        )
        self._unshared = Counter(
            "mcp_rate_limit_unshared_total",
            "Requests whose limits Redis couldn't count, by what was done with them.",
            ["mode"],
            registry=registry,
        )

    async def admit(self, principal: Principal, tool: str | None) -> None:
        """Count a request of `principal`; `tool` is the qualified name where it calls one.

        Raises:
            HttpRefusal: 429 with Retry-After: it exceeds a limit; 503: Redis is away and the mode is closed.
        """
        if not self._active:
            return
        quotas = self._quotas(principal, tool)
        if not quotas:
            return
        refused = await self._check(quotas)
        if refused is not None:
            scope = refused.quota.scope
            self._hits.labels(scope).inc()
            raise _refusal(429, _MESSAGES[scope], refused.seconds, scope)

    async def spent(self, principal: Principal) -> float | None:
        """How many requests of the principal's burst are used up now; None without a limit for principals.

        Raises:
            StoreDownError: Redis doesn't answer.
        """
        quota = self._of_principal(principal)
        if quota is None:
            return None
        shared = self._shared
        ahead = self._local.ahead(quota.key) if shared is None else await shared.ahead(quota.key)
        return ahead / quota.interval

    async def forget(self, principal: Principal) -> bool:
        """Give a principal the whole burst again; False without a limit for principals.

        Raises:
            StoreDownError: Redis doesn't answer.
        """
        quota = self._of_principal(principal)
        if quota is None:
            return False
        self._local.forget(quota.key)
        if self._shared is not None:
            await self._shared.forget(quota.key)
        return True

    def _of_principal(self, principal: Principal) -> Quota | None:
        if self._settings.principal is None:
            return None
        key = _key("principal", principal.issuer, principal.subject)
        return Quota.of("principal", key, self._settings.principal)

    def _quotas(self, principal: Principal, tool: str | None) -> list[Quota]:
        quotas: list[Quota] = [] if self._gateway is None else [self._gateway]
        own = self._of_principal(principal)
        if own is not None:
            quotas.append(own)
        if tool is not None:
            rate = next((it for it in self._settings.tools if fnmatchcase(tool, it.match)), None)
            if rate is not None:
                quotas.append(Quota.of("tool", _key("tool", tool), rate))
        return quotas

    async def _check(self, quotas: list[Quota]) -> Refused | None:
        if self._shared is None:
            return self._local.check(quotas)
        try:
            return await self._shared.check(quotas)
        except StoreDownError:
            return self._unshared_check(quotas, self._settings.without_redis)

    def _unshared_check(
        self, quotas: list[Quota], mode: Literal["local", "open", "closed"]
    ) -> Refused | None:
        self._unshared.labels(mode).inc()
        match mode:
            case "local":
                return self._local.check(quotas)
            case "open":
                return None
            case "closed":
                raise _refusal(503, "requests can't be counted at the moment", 1.0, "unavailable")


def _key(kind: str, *names: str) -> str:
    """A short key for names of any length and content (a subject is whatever its issuer likes)."""
    text = "".join(f"{len(name)}:{name}" for name in names)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"limit:{kind}:{digest}"


def _refusal(status: int, message: str, seconds: float, scope: str) -> HttpRefusal:
    retry_after = max(1, math.ceil(seconds))  # the header knows whole seconds only
    return HttpRefusal(
        status,
        f"{message}; try again in {retry_after} s",
        reason=f"limit_{scope}",
        code=RATE_LIMITED,
        headers=((b"retry-after", str(retry_after).encode()),),
        data={"scope": scope, "retryAfterMs": math.ceil(seconds * 1000)},
        violation=False,
    )
