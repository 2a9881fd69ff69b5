"""The objects of the stack's namespace, as somebody declared them. Secrets are never among them."""

import json
import os
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from services.backup.bucket import Bucket
from services.backup.errors import BackupError, RefusedError, WrongError
from services.backup.manifest import Manifest
from services.kit.postgres.settings import read_secret

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_PAGE: Final = 250
_TIMEOUT_SECONDS: Final = 30
_MADE_BY_THE_SERVER: Final = (
    *("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"),
)
_CLUSTERS_OWN: Final = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
"""Every namespace gets these by itself."""

Object = dict[str, Any]


def back_up(
    bucket: Bucket, namespace: str, resources: Mapping[str, Sequence[str]], account: Path = ACCOUNT
) -> Manifest:
    """Store them.

    Args:
        bucket: Where to.
        namespace: Whose objects.
        resources: Names of resources, by API group and version.
        account: Folder with the pod's token and the cluster's authority.

    Raises:
        BackupError: They can't be read, or not be stored.
    """
    if not resources or any("secrets" in names for names in resources.values()):
        raise WrongError("BACKUP_RESOURCES: must name resources, and never secrets")
    api = Api(account)
    objects = [
        item
        for version, names in sorted(resources.items())
        for name in names
        for item in api.list(version, namespace, name)
        if _is_declared(item)
    ]
    counts = Counter(str(item["kind"]) for item in objects)
    body = json.dumps(
        {"apiVersion": "v1", "kind": "List", "items": [_declared(it) for it in objects]}, indent=1
    )
    return bucket.keep("configuration", [body.encode()], {"kubernetes": api.version()}, dict(counts))


def read(found: Manifest, data: Iterator[bytes]) -> str:
    """The objects as one List, for `kubectl diff` and `kubectl apply`.

    Raises:
        RefusedError: They aren't what was backed up.
    """
    text = b"".join(data)
    try:
        items = json.loads(text)["items"]
        counts = dict(Counter(str(item["kind"]) for item in items))
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(f"{found.object}: isn't a list of objects: {error}") from None
    if counts != found.counts:
        raise RefusedError(f"{found.object}: has other kinds than its manifest says")
    return text.decode()


def _is_declared(item: Object) -> bool:
    """Whether nobody makes it anew by himself."""
    metadata = item["metadata"]
    return not metadata.get("ownerReferences") and (item["kind"], metadata["name"]) not in _CLUSTERS_OWN


def _declared(item: Object) -> Object:
    metadata = {key: value for key, value in item["metadata"].items() if key not in _MADE_BY_THE_SERVER}
    return {**{key: value for key, value in item.items() if key != "status"}, "metadata": metadata}


class Api:
    """The cluster's API, as the pod's own account."""

    def __init__(self, account: Path) -> None:
        try:
            host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
            self._token = read_secret(account / "token")
            self._tls = ssl.create_default_context(cafile=account / "ca.crt")
        except (KeyError, OSError) as error:
            raise WrongError(f"not in a pod with an account: {error}") from None
        self._url = f"https://{f'[{host}]' if ':' in host else host}:{port}"

    def version(self) -> str:
        """Kubernetes' own."""
        return str(self._get("/version", {})["gitVersion"])

    def list(self, version: str, namespace: str, resource: str) -> Iterator[Object]:
        """All objects of one resource."""
        prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
        after = ""
        while True:
            query = {"limit": str(_PAGE), **({"continue": after} if after else {})}
            page = self._get(f"{prefix}/namespaces/{namespace}/{resource}", query)
            kind = str(page["kind"]).removesuffix("List")
            for item in page["items"]:
                yield {"apiVersion": version, "kind": kind, **cast("Object", item)}
            after = page["metadata"].get("continue", "")
            if not after:
                return

    def _get(self, path: str, query: Mapping[str, str]) -> Object:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        request = Request(f"{self._url}{path}?{urlencode(query)}", headers=headers)  # noqa: S310 - always https
        try:
            with urlopen(request, timeout=_TIMEOUT_SECONDS, context=self._tls) as answer:  # noqa: S310 - as above
                return cast("Object", json.load(answer))
        except HTTPError as error:
            raise BackupError(f"Kubernetes API: {path}: {error.code} {error.reason}") from None
        except (URLError, OSError, ValueError) as error:
            raise BackupError(f"Kubernetes API: {path}: {error}") from None
