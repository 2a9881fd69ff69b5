"""A small client of the Kubernetes API, for what the cluster needs to set itself up.

Standard library only: the provisioner runs as long as the cluster does, and should stay small.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from infra.cluster.spec import CLUSTER_CA
from infra.errors import PlatformError

Object = dict[str, Any]  # one Kubernetes object, as JSON has it

FIELD_MANAGER = "mcp-platform-cluster"
NOT_FOUND, CONFLICT, GONE = 404, 409, 410


class ApiError(PlatformError):
    """The API server refused a request; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the API server answered {status}: {message}")
        self.status = status


class ApiClient:
    """Speaks to one API server as the holder of one client certificate; one thread at a time."""

    def __init__(self, server: str, certificates: Path, user: str, *, timeout: float = 10) -> None:
        self.address = urlsplit(server)
        self.timeout = timeout
        self.context = client_context(certificates, user)
        self._connection: http.client.HTTPSConnection | None = None

    def get(self, path: str) -> Object:
        """Read one object or a list."""
        return json.loads(self._request("GET", path))

    def text(self, path: str) -> str:
        """Read something that is not JSON, such as /readyz."""
        return self._request("GET", path).decode()

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            self._request("GET", path)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return False
            raise
        return True

    def create(self, path: str, content: Object) -> Object:
        """Create an object in a collection."""
        return json.loads(self._request("POST", path, content))

    def delete(self, path: str) -> None:
        """Delete an object; that it is gone already is no error."""
        try:
            self._request("DELETE", path)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise

    def apply(self, path: str, content: Object) -> None:
        """Create an object, or make it what is asked for, by server-side apply."""
        query = urlencode({"fieldManager": FIELD_MANAGER, "force": "true"})
        self._request("PATCH", f"{path}?{query}", content, {"Content-Type": "application/apply-patch+yaml"})

    def watch(self, path: str, version: str) -> Iterator[Object]:
        """Follow a collection from a resource version; ends when the server ends it, within five minutes."""
        query = urlencode(
            {"watch": "1", "resourceVersion": version, "timeoutSeconds": 290, "allowWatchBookmarks": "1"}
        )
        connection = self._connect(timeout=300)
        try:
            connection.request("GET", f"{path}?{query}")
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise _error(response.status, response.read())
            for line in response:
                yield json.loads(line)
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _request(
        self, method: str, path: str, content: Object | None = None, headers: Mapping[str, str] = {}
    ) -> bytes:
        body = None if content is None else json.dumps(content).encode()
        if self._connection is None:
            self._connection = self._connect(self.timeout)
        try:
            self._connection.request(method, path, body, {"Content-Type": "application/json", **headers})
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if response.status >= http.client.BAD_REQUEST:
            raise _error(response.status, answer)
        return answer

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self.address.hostname or "", self.address.port, timeout=timeout, context=self.context
        )


def client_context(certificates: Path, user: str = "", *, verified: bool = True) -> ssl.SSLContext:
    """TLS that trusts the cluster's authority and shows a client certificate."""
    context = ssl.create_default_context(cafile=str(certificates / f"{CLUSTER_CA}.crt"))
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if user:
        context.load_cert_chain(certificates / f"{user}.crt", certificates / f"{user}.key")
    return context


def _error(status: int, answer: bytes) -> ApiError:
    """The message of a Kubernetes Status, or the answer as it came."""
    try:
        message = json.loads(answer)["message"]
    except (ValueError, KeyError, TypeError):
        message = answer.decode(errors="replace").strip()
    return ApiError(status, message)
