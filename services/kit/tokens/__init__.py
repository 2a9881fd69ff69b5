"""Bearer tokens: whose keys sign them, and what a token proves."""

from services.kit.tokens.keys import IssuerKey, KeyFileError, KeySetError, keys_of_set
from services.kit.tokens.refusals import Refusal, TokenRefusedError
from services.kit.tokens.verifier import Principal, TokenVerifier

__all__ = [
    "IssuerKey",
    "KeyFileError",
    "KeySetError",
    "Principal",
    "Refusal",
    "TokenRefusedError",
    "TokenVerifier",
    "keys_of_set",
]
