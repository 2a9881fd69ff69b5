"""Who may ask what: bearer tokens in, challenges out (RFC 6750, RFC 9728)."""

from collections.abc import Collection
from typing import Any, Final
from urllib.parse import urlsplit

from services.gateway.authorization import UNRESTRICTED, PolicyFile, Trust, View
from services.gateway.config_auth import Auth
from services.gateway.errors import FORBIDDEN, UNAUTHORIZED, HttpRefusal
from services.gateway.issuers import Issuers
from services.kit.conventions import METADATA_PATH
from services.kit.logs import get_logger
from services.kit.tokens import Principal, Refusal, TokenRefusedError

READ_SCOPE: Final = "mcp:read"
CALL_SCOPE: Final = "mcp:call"
ADMIN_SCOPE: Final = "mcp:admin"
"""Neither offered to clients nor implied by the others: who needs it asks for it by name."""
ALL_SCOPES: Final = (READ_SCOPE, CALL_SCOPE)

ANYBODY: Final = Principal("anonymous", "", frozenset({*ALL_SCOPES, ADMIN_SCOPE}), float("inf"))
"""Who calls where `auth: none` lets this machine in."""


def trust_of(auth: Auth | None) -> Trust:
    """What a policy may refer to under this configuration."""
    if auth is None:
        return Trust(frozenset(), frozenset())
    return Trust(frozenset(it.issuer for it in auth.issuers), frozenset(auth.group_claims))


class Access:
    """Authentication, scopes and policy; without `auth` everybody has every scope."""

    def __init__(self, auth: Auth | None, issuers: Issuers | None, policy: PolicyFile | None) -> None:
        """`auth` and `issuers` are both there, or neither is."""
        self._auth = auth
        self._policy = policy
        self._issuers = issuers

    @property
    def edition(self) -> object:
        """The policy in force: another object whenever it has changed."""
        return None if self._policy is None else self._policy.rulebook

    async def admit(self, authorization: bytes | None) -> tuple[Principal, View]:
        """Who the Authorization header says is calling, with all their scopes, and what there is for them.

        Raises:
            HttpRefusal: 401 with a challenge; 503 while the issuer's keys can't be had.
        """
        return self.enter(await self._authenticate(authorization))

    def enter(self, principal: Principal) -> tuple[Principal, View]:
        """Who is known, with all their scopes, and what there is for them now."""
        if self._policy is None:
            return principal, UNRESTRICTED
        return self._policy.rulebook.enter(principal)

    async def _authenticate(self, authorization: bytes | None) -> Principal:
        if self._issuers is None:
            return ANYBODY
        scheme, _, token = (authorization or b"").decode("latin-1").partition(" ")
        if not authorization:
            raise self._unauthorized(Refusal.MISSING, "a bearer token is needed")
        if scheme.lower() != "bearer" or not token.isascii():
            raise self._unauthorized(Refusal.MALFORMED, "the Authorization header holds no bearer token")
        try:
            return await self._issuers.verify(token.strip())
        except TokenRefusedError as error:
            raise self._unauthorized(error.reason, str(error)) from None
        except Exception:  # noqa: BLE001 - a defect of the verifier's: logged, and it lets nobody in
            get_logger().exception("token not verified")
            message = "the token can't be verified now"
            raise HttpRefusal(503, message, reason="token_unverified", code=UNAUTHORIZED) from None

    def require(self, principal: Principal, scopes: Collection[str]) -> None:
        """Let `principal` pass if it has all of `scopes`.

        Raises:
            HttpRefusal: 403 that names all of them, so that the client can ask for a token at once.
        """
        if missing := sorted(set(scopes) - principal.scopes):
            message = f"the token lacks the scope {' '.join(missing)}"
            challenge = self._challenge(error="insufficient_scope", scope=" ".join(sorted(scopes)))
            raise HttpRefusal(403, message, reason="scope", code=FORBIDDEN, headers=(challenge,))

    @property
    def metadata(self) -> dict[str, Any] | None:
        """The RFC 9728 document; None where no token is needed."""
        if self._auth is None:
            return None
        return {
            "resource": self._auth.audience,
            "authorization_servers": sorted({it.issuer for it in self._auth.issuers}),
            "scopes_supported": list(ALL_SCOPES),
            "bearer_methods_supported": ["header"],
            "resource_name": "mcp-platform gateway",
        }

    def _unauthorized(self, reason: Refusal, message: str) -> HttpRefusal:
        if reason is Refusal.NO_KEYS:
            headers = ((b"retry-after", b"5"),)
            return HttpRefusal(503, message, reason=f"token_{reason}", code=UNAUTHORIZED, headers=headers)
        scope = " ".join(ALL_SCOPES)
        if reason is Refusal.MISSING:
            challenge = self._challenge(scope=scope)
        else:
            challenge = self._challenge(error="invalid_token", error_description=message, scope=scope)
        return HttpRefusal(401, message, reason=f"token_{reason}", code=UNAUTHORIZED, headers=(challenge,))

    def _challenge(self, **parameters: str) -> tuple[bytes, bytes]:
        shown = {**self._metadata_url(), **parameters}
        text = ", ".join(f'{name}="{value}"' for name, value in shown.items())
        return b"www-authenticate", f"Bearer {text}".encode()

    def _metadata_url(self) -> dict[str, str]:
        if self._auth is None:
            return {}  # `auth: none`, and the policy asks for scopes that nobody can get
        audience = urlsplit(self._auth.audience)
        # RFC 9728 §3.1: the well-known path goes between host and path of the resource.
        path = f"{METADATA_PATH}{audience.path.rstrip('/')}"
        return {"resource_metadata": f"{audience.scheme}://{audience.netloc}{path}"}
