"""The collector that the image has, built of the same sources, and run with the rendered files of a stack."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import TypeVar
from urllib.error import URLError
from urllib.request import urlopen

from infra.cluster.modules import Module
from infra.settings.telemetry import OTLP_PORT
from infra.telemetry.logs import LOGS_PATH, STATE_PATH
from infra.telemetry.parts import CONFIG_FILE, CONFIG_PATH, HEALTH_PATH, HEALTH_PORT, TOKEN_PATH
from services.kit.conventions import METRICS_PATH, OPS_PORT
from tests.go_programs import built
from tests.ports import free_port

OTELCOL = Module("otelcol", packages=".", sources=Path(__file__).resolve().parents[3] / "infra" / "images")
NODE = "node-1"
SECONDS = 60.0

T = TypeVar("T")


def program() -> Path:
    """Its path; the first build takes two minutes."""
    return built(OTELCOL, "otelcol")


def wait_for(find: Callable[[], T], what: str, seconds: float = SECONDS) -> T:
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.05)
    return found


class Otelcol:
    """A collector with the files of a ConfigMap. Of their contents only places are other than in a pod:
    addresses and ports, and folders, which are below `folder`."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self.folder = folder
        self.logs, self.secrets = folder / "pods", folder / "secrets"
        self._ports = {port: free_port() for port in (OTLP_PORT, OPS_PORT, HEALTH_PORT)}
        places = {
            **{f"0.0.0.0:{port}": f"127.0.0.1:{own}" for port, own in self._ports.items()},
            "host: 0.0.0.0": "host: 127.0.0.1",
            f" port: {OPS_PORT}": f" port: {self._ports[OPS_PORT]}",
            CONFIG_PATH: str(folder / "config"),
            TOKEN_PATH: str(self.secrets),
            STATE_PATH: str(folder / "state"),
            LOGS_PATH: str(self.logs),
        }
        for name in ("config", "state", "pods", "secrets"):
            (folder / name).mkdir(parents=True)
        for name, text in files.items():
            placed = reduce(lambda found, place: found.replace(place, places[place]), places, text)
            assert "0.0.0.0" not in placed
            (folder / "config" / name).write_text(placed)
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports[OTLP_PORT]}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def validate(self) -> str:
        """What `otelcol validate` has against the configuration."""
        done = self._run("validate")
        return "" if done.returncode == 0 else done.stdout + done.stderr or "it is wrong"

    def start(self) -> None:
        command = [str(program()), self._config]
        with (self.folder / "log").open("ab") as log:
            self._popen = subprocess.Popen(command, stdout=log, stderr=log, env=_environment())
        wait_for(self._is_ready, "collector that is ready")

    def stop(self) -> int:
        assert self._popen is not None
        self._popen.terminate()
        return self._popen.wait(SECONDS)

    def kill(self) -> None:
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()

    def series(self) -> dict[str, float]:
        """Its own metrics, as Prometheus reads them."""
        url = f"http://127.0.0.1:{self._ports[OPS_PORT]}{METRICS_PATH}"
        with urlopen(url, timeout=5) as page:
            lines = page.read().decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def count(self, metric: str) -> float:
        """The sum of the series of a metric."""
        return sum(value for name, value in self.series().items() if name.partition("{")[0] == metric)

    def write(self, place: str, *lines: str) -> None:
        """What a container runtime writes, at `<namespace>_<pod>_<uid>/<container>/<restarts>.log`."""
        file = self.logs / place
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as log:
            log.write("".join(f"2026-01-02T03:04:05.678901234Z stdout F {line}\n" for line in lines))

    @property
    def _config(self) -> str:
        return f"--config=file:{self.folder / 'config' / CONFIG_FILE}"

    def _run(self, command: str) -> subprocess.CompletedProcess[str]:
        words = [str(program()), command, self._config]
        return subprocess.run(words, capture_output=True, text=True, check=False, env=_environment())

    def _is_ready(self) -> bool:
        assert self._popen is not None
        assert self._popen.poll() is None, self.log
        try:
            with urlopen(f"http://127.0.0.1:{self._ports[HEALTH_PORT]}{HEALTH_PATH}", timeout=5) as page:
                return page.status == 200
        except (URLError, ConnectionError):
            return False


def _environment() -> dict[str, str]:
    proxies: set[str] = {name for name in os.environ if name.lower().endswith("_proxy")}
    return {**{name: value for name, value in os.environ.items() if name not in proxies}, "NODE_NAME": NODE}
