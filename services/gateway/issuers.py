"""Whose tokens are accepted: keys from files and from where issuers publish them, and the verifier on top."""

import asyncio
from typing import Final

from prometheus_client import Counter

from services.gateway.config_auth import Auth, Issuer
from services.gateway.discovery.kubernetes import in_cluster_url
from services.kit.tokens import IssuerKey, Principal, Refusal, TokenRefusedError, TokenVerifier
from services.kit.tokens.remote import KeyAddress, RemoteKeys

CLUSTER_KEYS_PATH: Final = "/openid/v1/jwks"

_LACKS_KEYS: Final = frozenset({Refusal.UNKNOWN_KEY, Refusal.NO_KEYS})


class Issuers:
    """Verifies tokens of all configured issuers."""

    def __init__(self, auth: Auth, errors: Counter) -> None:
        """Read the key files; nothing is fetched yet.

        Raises:
            DiscoveryError: the cluster's keys are wanted, but this isn't a pod.
            KeyFileError: a key file can't be used.
        """
        addresses = [address for it in auth.issuers if (address := _address(it)) is not None]
        self._verifier = TokenVerifier(
            [
                IssuerKey.from_file(it.issuer, it.public_key_file)
                for it in auth.issuers
                if it.public_key_file is not None
            ],
            audience=auth.audience,
            issuers=[address.issuer for address in addresses],
            group_claims=auth.group_claims,
        )
        self._remote = {address.issuer: self._remote_keys(address, errors) for address in addresses}

    def _remote_keys(self, address: KeyAddress, errors: Counter) -> RemoteKeys:
        def publish(keys: tuple[IssuerKey, ...]) -> None:
            self._verifier.replace_keys(address.issuer, keys)

        return RemoteKeys(address, publish, errors)

    @property
    def fetches(self) -> bool:
        """Whether any keys are published, so that `run` has something to do."""
        return bool(self._remote)

    async def run(self) -> None:
        """Keep published keys up to date until cancelled."""
        await asyncio.gather(*(keys.run() for keys in self._remote.values()))

    async def fetch(self) -> dict[str, str | None]:
        """Fetch all published keys at once; for each issuer, what went wrong, if anything did."""
        problems = await asyncio.gather(*(keys.fetch() for keys in self._remote.values()))
        return dict(zip(self._remote, problems, strict=True))

    async def verify(self, token: str) -> Principal:
        """Who the token says the caller is; a key that isn't known is looked for once.

        Raises:
            TokenRefusedError: the token proves nothing here.
        """
        try:
            return self._verifier.verify(token)
        except TokenRefusedError as error:
            remote = self._remote.get(error.issuer or "")
            if error.reason not in _LACKS_KEYS or remote is None:
                raise
        await remote.refresh()
        return self._verifier.verify(token)


def _address(issuer: Issuer) -> KeyAddress | None:
    if issuer.jwks is not None:
        url, ca_file, token_file, published = issuer.jwks.uri, issuer.jwks.ca_file, None, issuer.jwks
    elif issuer.kubernetes is not None:
        published = issuer.kubernetes
        url = f"{published.api_url or in_cluster_url()}{CLUSTER_KEYS_PATH}"
        ca_file = published.ca_file if url.startswith("https:") else None
        token_file = published.token_file
    else:
        return None
    return KeyAddress(
        issuer=issuer.issuer,
        url=url,
        refresh_seconds=published.refresh_seconds,
        keep_seconds=published.keep_seconds,
        ca_file=ca_file,
        token_file=token_file,
    )
