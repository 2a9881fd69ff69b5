"""The one place where calls are let through or not: every method passes here, whatever answers it."""

from typing import Final

from services.gateway.access import READ_SCOPE, Access
from services.gateway.authorization import Decision
from services.gateway.call import Call
from services.gateway.errors import METHOD_NOT_FOUND, RpcError
from services.gateway.metrics import GatewayMetrics
from services.gateway.targets import Target, Targets

_OWN: Final = Decision(allowed=True, scopes=frozenset({READ_SCOPE}))
"""Tools of the gateway's tell everybody what lists would tell them, and need what lists need."""


class Permission:
    """Checks scopes and the policy."""

    def __init__(self, access: Access, targets: Targets, metrics: GatewayMetrics) -> None:
        self._access = access
        self._targets = targets
        self._metrics = metrics

    def check(self, call: Call, scope: str | None) -> None:
        """Let `call` through, `scope` being what its method needs (None: nothing).

        What the policy hides is answered like what isn't there, and whether it is there isn't even asked.

        Raises:
            HttpRefusal: 403, with all the scopes that the call needs.
            RpcError: it names something that isn't there for this caller, or not properly.
        """
        decisions = self._decisions(call)
        needed = {scope} if scope is not None else set[str]()
        needed.update(*(decision.scopes for _, decision in decisions))
        self._access.require(call.principal, needed)
        for target, decision in decisions:
            if not decision.allowed:
                self._metrics.violations.labels("denied").inc()
                error = target.unknown()
                error.denied = True
                raise error

    def _decisions(self, call: Call) -> list[tuple[Target, Decision]]:
        if not call.view.restricted and not self._targets.own_tools:
            return []
        targets = self._targets.all(call.method, call.params)
        if targets is None:
            # What a method names that we don't know can't be checked.
            raise RpcError(METHOD_NOT_FOUND, "Method not found", {"method": call.method[:200]})
        return [(it, _OWN if it.own else call.view.decide(it.kind, it.server, it.name)) for it in targets]
