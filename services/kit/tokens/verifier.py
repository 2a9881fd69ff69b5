"""Verification of bearer tokens: JSON Web Tokens signed by a configured issuer.

What is accepted is decided by our configuration and never by the token: the issuer picks the keys, and each
key's type fixes the one algorithm that it may verify. So `alg: none` and a public key as HMAC secret fail.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import jwt

from services.kit.tokens.keys import ALGORITHMS, IssuerKey
from services.kit.tokens.refusals import Refusal, TokenRefusedError

MAX_TOKEN_BYTES: Final = 8192
LEEWAY_SECONDS: Final = 5
"""Clock difference between issuer and us that is forgiven."""
CACHE_SECONDS: Final = 60.0
CACHE_ENTRIES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, as proven by a token."""

    subject: str
    issuer: str
    scopes: frozenset[str]
    expires_at: float
    """Unix time in seconds."""
    claims: frozenset[tuple[str, str]] = frozenset()
    """What the token says of the caller's groups: claim and value, for each value."""


class TokenVerifier:
    """Verifies tokens for one audience; remembers good ones for at most a minute."""

    def __init__(
        self,
        keys: Iterable[IssuerKey],
        *,
        audience: str,
        issuers: Iterable[str] = (),
        group_claims: Collection[str] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        """Prepare.

        Args:
            keys: whose tokens are accepted.
            audience: what a token's `aud` must be or hold.
            issuers: who is trusted, too, by keys that come with `replace_keys`.
            group_claims: the claims that become `Principal.claims`.
            now: the clock for what is remembered.
        """
        self._group_claims = frozenset(group_claims)
        self._keys: dict[str, tuple[IssuerKey, ...]] = dict.fromkeys(issuers, ())
        for key in keys:
            self._keys[key.issuer] = (*self._keys.get(key.issuer, ()), key)
        self._audience = audience
        self._now = now
        self._cache: dict[bytes, tuple[float, Principal]] = {}

    def replace_keys(self, issuer: str, keys: Iterable[IssuerKey]) -> None:
        """Make `keys` the issuer's only ones; what others verified is forgotten."""
        self._keys[issuer] = tuple(keys)
        self._cache.clear()

    def verify(self, token: str) -> Principal:
        """Who the token says the caller is.

        Raises:
            TokenRefusedError: the token proves nothing here.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenRefusedError(Refusal.OVERSIZED, f"the token is longer than {MAX_TOKEN_BYTES} bytes")
        digest = hashlib.sha256(token.encode()).digest()
        now = self._now()
        cached = self._cache.get(digest)
        if cached and now < cached[0]:
            return cached[1]
        principal = self._verify(token)
        self._remember(digest, principal, now)
        return principal

    def _remember(self, digest: bytes, principal: Principal, now: float) -> None:
        self._cache.pop(digest, None)
        if len(self._cache) >= CACHE_ENTRIES:
            del self._cache[next(iter(self._cache))]
        self._cache[digest] = (min(now + CACHE_SECONDS, principal.expires_at), principal)

    def _verify(self, token: str) -> Principal:
        issuer, algorithm, key_id = _claimed(token)
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise TokenRefusedError(Refusal.ALGORITHM, "the token's algorithm isn't accepted")
        keys = self._keys_of(issuer, key_id)
        fitting = [key for key in keys if key.algorithm == algorithm]
        if not fitting:
            raise TokenRefusedError(Refusal.ALGORITHM, "the token's algorithm isn't its issuer's")
        refused: TokenRefusedError | None = None
        for key in fitting:  # more than one while an issuer changes its key
            try:
                return _principal(self._decode(token, key), self._group_claims)
            except TokenRefusedError as error:
                refused = error
                if error.reason is not Refusal.SIGNATURE:
                    break
        assert refused is not None  # noqa: S101 - `fitting` isn't empty; this tells the type checker
        raise refused

    def _keys_of(self, issuer: object, key_id: object) -> list[IssuerKey]:
        """The issuer's keys that may have signed a token with this key id."""
        if not isinstance(issuer, str) or issuer not in self._keys:
            raise TokenRefusedError(Refusal.ISSUER, "the token's issuer isn't known here")
        keys = self._keys[issuer]
        if not keys:
            raise TokenRefusedError(
                Refusal.NO_KEYS, "the keys of the token's issuer aren't known now", issuer
            )
        named = [key for key in keys if key_id is None or key.key_id in {None, key_id}]
        if not named:
            raise TokenRefusedError(Refusal.UNKNOWN_KEY, "the token's key isn't its issuer's", issuer)
        return named

    def _decode(self, token: str, key: IssuerKey) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key=key.key,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=key.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["iss", "aud", "sub", "exp"]},
            )
        except jwt.InvalidTokenError as error:
            raise _refusal(error) from None


def _claimed(token: str) -> tuple[object, object, str | None]:
    """Issuer, algorithm and key id of an unverified token: only used to choose among our own keys."""
    try:
        unverified = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise TokenRefusedError(Refusal.MALFORMED, "this is not a JSON Web Token") from None
    header, key_id = unverified["header"], unverified["header"].get("kid")
    if key_id is not None and not isinstance(key_id, str):
        raise TokenRefusedError(Refusal.MALFORMED, "the token's key id must be text")
    return unverified["payload"].get("iss"), header.get("alg"), key_id


def _refusal(error: jwt.InvalidTokenError) -> TokenRefusedError:
    match error:
        case jwt.ExpiredSignatureError():
            return TokenRefusedError(Refusal.EXPIRED, "the token has expired")
        case jwt.ImmatureSignatureError():
            return TokenRefusedError(Refusal.NOT_YET_VALID, "the token isn't valid yet")
        case jwt.InvalidAudienceError():
            return TokenRefusedError(Refusal.AUDIENCE, "the token is for another audience")
        case jwt.InvalidSignatureError():
            return TokenRefusedError(Refusal.SIGNATURE, "the token's signature is wrong")
        case jwt.MissingRequiredClaimError():
            return TokenRefusedError(Refusal.CLAIMS, f"the token has no claim {error.claim!r}")
        case _:
            return TokenRefusedError(Refusal.MALFORMED, "the token can't be used")


def _principal(claims: dict[str, Any], group_claims: Collection[str]) -> Principal:
    subject, scope = claims["sub"], claims.get("scope", "")
    if not _is_text(subject) or not subject:
        raise TokenRefusedError(Refusal.CLAIMS, "the token's claim 'sub' must be text")
    if not _is_text(scope):
        raise TokenRefusedError(Refusal.CLAIMS, "the token's claim 'scope' must be text")
    return Principal(
        subject=subject,
        issuer=str(claims["iss"]),
        scopes=frozenset(scope.split()),
        expires_at=_seconds(claims["exp"]),
        claims=frozenset(
            (claim, value) for claim in group_claims for value in _values(claims.get(claim)) if value
        ),
    )


def _is_text(value: object) -> TypeGuard[str]:
    """Whether it is a string that can be written: JSON can escape half a character."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _seconds(expiry: Any) -> float:  # noqa: ANN401 - what PyJWT takes for a number
    try:
        return float(expiry)
    except OverflowError:
        raise TokenRefusedError(Refusal.CLAIMS, "the token's claim 'exp' is out of range") from None


def _values(claim: object) -> list[str]:
    """The texts of a claim that is text or a list of texts; whatever else is in it proves nothing."""
    return [value for value in (claim if isinstance(claim, list) else [claim]) if _is_text(value)]
