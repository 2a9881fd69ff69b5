"""Who may ask what: bearer tokens in, challenges out (RFC 6750, RFC 9728)."""

from typing import Any, Final
from urllib.parse import urlsplit

from services.gateway.config import Auth
from services.gateway.errors import FORBIDDEN, UNAUTHORIZED, HttpRefusal
from services.kit.tokens import IssuerKey, Principal, Refusal, TokenRefusedError, TokenVerifier

READ_SCOPE: Final = "mcp:read"
CALL_SCOPE: Final = "mcp:call"
ALL_SCOPES: Final = (READ_SCOPE, CALL_SCOPE)
METADATA_PATH: Final = "/.well-known/oauth-protected-resource"

ANYBODY: Final = Principal("anonymous", "", frozenset(ALL_SCOPES), float("inf"))
"""Who calls where `auth: none` lets this machine in."""


class Access:
    """Authentication and scopes; without `auth` everybody may do everything."""

    def __init__(self, auth: Auth | None) -> None:
        """Read the issuers' keys.

        Raises:
            KeyFileError: one can't be used.
        """
        self._auth = auth
        self._verifier: TokenVerifier | None = None
        if auth is not None:
            keys = [IssuerKey.from_file(it.issuer, it.public_key_file) for it in auth.issuers]
            self._verifier = TokenVerifier(keys, audience=auth.audience)

    def authenticate(self, authorization: bytes | None) -> Principal:
        """Who the Authorization header says is calling.

        Raises:
            HttpRefusal: 401 with a challenge.
        """
        if self._verifier is None:
            return ANYBODY
        scheme, _, token = (authorization or b"").decode("latin-1").partition(" ")
        if not authorization:
            raise self._unauthorized(Refusal.MISSING, "a bearer token is needed")
        if scheme.lower() != "bearer" or not token.isascii():
            raise self._unauthorized(Refusal.MALFORMED, "the Authorization header holds no bearer token")
        try:
            return self._verifier.verify(token.strip())
        except TokenRefusedError as error:
            raise self._unauthorized(error.reason, str(error)) from None

    def require(self, principal: Principal, scope: str) -> None:
        """Let `principal` pass if its token has `scope`.

        Raises:
            HttpRefusal: 403 that names the scope, so that the client can ask for it.
        """
        if scope not in principal.scopes:
            challenge = self._challenge(error="insufficient_scope", scope=scope)
            message = f"the token lacks the scope {scope}"
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
        scope = " ".join(ALL_SCOPES)
        if reason is Refusal.MISSING:
            challenge = self._challenge(scope=scope)
        else:
            challenge = self._challenge(error="invalid_token", error_description=message, scope=scope)
        return HttpRefusal(401, message, reason=f"token_{reason}", code=UNAUTHORIZED, headers=(challenge,))

    def _challenge(self, **parameters: str) -> tuple[bytes, bytes]:
        assert self._auth is not None  # noqa: S101 - without `auth` nobody is challenged
        audience = urlsplit(self._auth.audience)
        # RFC 9728 §3.1: the well-known path goes between host and path of the resource.
        metadata = f"{audience.scheme}://{audience.netloc}{METADATA_PATH}{audience.path.rstrip('/')}"
        shown = {"resource_metadata": metadata, **parameters}
        text = ", ".join(f'{name}="{value}"' for name, value in shown.items())
        return b"www-authenticate", f"Bearer {text}".encode()
