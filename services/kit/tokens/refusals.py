"""Why tokens are refused."""

from enum import StrEnum


class Refusal(StrEnum):
    """Why a token was refused; also the value of a metric's label."""

    MISSING = "missing"
    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    ISSUER = "issuer"
    UNKNOWN_KEY = "unknown_key"
    NO_KEYS = "no_keys"
    SIGNATURE = "signature"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    CLAIMS = "claims"


class TokenRefusedError(Exception):
    """The token doesn't prove who the caller is; `reason` says why, the message never holds the token."""

    def __init__(self, reason: Refusal, message: str, issuer: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.issuer = issuer
        """Whose keys are lacking, where that is the reason."""
