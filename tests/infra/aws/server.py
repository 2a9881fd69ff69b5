"""An AWS account of the test's own: moto's HTTP server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import boto3
import httpx2

from tests.services.gateway.conftest import wait_for

REGION: Final = "eu-central-1"


class Server:
    """moto's HTTP server; whatever is made in it ends with it."""

    def __init__(self, log: Path) -> None:
        self._log = log
        # A port of its own choice: one that is found free beforehand may be somebody else's by then.
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        self.port = int(wait_for(self._listening, "AWS account", 120))
        self.url = f"http://127.0.0.1:{self.port}"
        wait_for(self._answers, "AWS account", 60)

    def _listening(self) -> str | None:
        """The port that it says it has."""
        assert self._process.poll() is None, self._log.read_text()
        found = re.search(r"Running on http://127\.0\.0\.1:(\d+)\s", self._log.read_text())
        return found and found[1]

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/moto-api/data.json", timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False

    def client(self, service: str, **credentials: str) -> Any:
        """A boto3 client; without credentials, of somebody who may do everything."""
        known = credentials or {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, **known)  # pyright: ignore[reportArgumentType] - its overloads are one a service

    def enforce(self, *, policies: bool) -> None:
        """Whether IAM's policies count from now on; otherwise everybody may do everything."""
        allowed = "0" if policies else "inf"
        httpx2.post(f"{self.url}/moto-api/reset-auth", content=allowed, timeout=60).raise_for_status()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)
