"""Keeps one component running: starts it when what it needs is ready, and again when it ends."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from infra.cluster.api import client_context
from infra.cluster.components import SYSTEM_PATH, Component, Probe
from infra.cluster.spec import Layout

State = Literal["waiting", "starting", "ready", "restarting", "stopped"]

FIRST_DELAY, LONGEST_DELAY = 0.5, 15.0  # seconds before a restart; doubled each time
STEADY = 60.0  # a component that ran this long starts over with the shortest delay
PROBE_EVERY, PROBE_TIMEOUT = 0.1, 2.0


@dataclass(frozen=True)
class Condition:
    """What is known of a component; `pid` is its number inside the cluster's process namespace."""

    name: str
    state: State
    pid: int | None
    restarts: int


class Runner(threading.Thread):
    """The life of one component; `changed` is called whenever its condition is another."""

    def __init__(
        self,
        component: Component,
        layout: Layout,
        ready: Mapping[str, threading.Event],
        changed: Callable[[], None],
    ) -> None:
        super().__init__(name=component.name, daemon=True)
        self.component = component
        self.layout = layout
        self.ready = ready
        self.changed = changed
        self.stopping = threading.Event()
        self.process: subprocess.Popen[bytes] | None = None
        self.state: State = "waiting"
        self.restarts = 0

    @property
    def condition(self) -> Condition:
        """What `mcpctl cluster status` shows."""
        pid = self.process.pid if self.process else None
        return Condition(self.component.name, self.state, pid, self.restarts)

    def run(self) -> None:
        """Start, watch and restart the component until it is told to stop."""
        delay = FIRST_DELAY
        while self._wait_for_needs():
            started = time.monotonic()
            ending = self._live()
            if self.stopping.is_set():
                break
            self.restarts += 1
            tell(f"{self.component.name} {ending}; starting it again in {delay:g} s")
            self._set("restarting")
            self.stopping.wait(delay)
            delay = FIRST_DELAY if time.monotonic() - started > STEADY else min(delay * 2, LONGEST_DELAY)
        self._set("stopped")

    def _live(self) -> str:
        """Start the component, wait for its end, and say how it ended."""
        try:
            process = self.process = self._start()
        except OSError as error:  # such as a full disk, which may have space again later
            return f"could not be started ({error})"
        if self.stopping.is_set():  # stop() may have looked before there was a process
            process.terminate()
        self._set("starting")
        self._watch(process)
        code = process.wait()
        self.state, self.process = "restarting", None  # at once: nobody is told of one that is ready and gone
        self.ready[self.component.name].clear()
        return f"ended ({_ending(code)})"

    def stop(self) -> None:
        """Ask the component to end, and don't start it again."""
        self.stopping.set()
        if self.process is not None:
            self.process.terminate()

    def kill(self) -> None:
        """End the component at once."""
        if self.process is not None:
            self.process.kill()

    def _wait_for_needs(self) -> bool:
        """Wait until everything that the component needs is ready; False when it is to stop instead."""
        for name in self.component.after:
            while not self.ready[name].wait(0.2):
                if self.stopping.is_set():
                    return False
        return not self.stopping.is_set()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {"PATH": SYSTEM_PATH, "HOME": "/root", **_inherited(), **self.component.environment}
        with self.layout.log(self.component.name).open("ab") as log:
            return subprocess.Popen(
                self.component.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=environment,
                pass_fds=self.component.descriptors,
            )

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Probe until the component is ready or has ended."""
        while process.poll() is None:
            if is_ready(self.component.probe, self.layout):
                self.ready[self.component.name].set()
                self._set("ready")
                return
            time.sleep(PROBE_EVERY)

    def _set(self, state: State) -> None:
        self.state = state
        self.changed()


def tell(line: str) -> None:
    """Say something in the supervisor's log; where that can't be written, the work goes on."""
    with suppress(OSError):
        print(line, flush=True)


def is_ready(probe: Probe, layout: Layout) -> bool:
    """Try a probe once."""
    try:
        if probe.socket:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(PROBE_TIMEOUT)
                connection.connect(probe.socket)
            return True
        return not probe.url or _answers(probe, layout)
    except (OSError, http.client.HTTPException):
        return False


def _answers(probe: Probe, layout: Layout) -> bool:
    """Whether a URL answers 200."""
    url = urlsplit(probe.url)
    host, port = url.hostname or "", url.port
    if url.scheme == "https":
        context = client_context(layout.certificates, probe.certificate, verified=probe.verified)
        connection = http.client.HTTPSConnection(host, port, timeout=PROBE_TIMEOUT, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=PROBE_TIMEOUT)
    try:
        connection.request("GET", url.path)
        return connection.getresponse().status == http.client.OK
    finally:
        connection.close()


def _inherited() -> dict[str, str]:
    """What components keep of the supervisor's environment: where Python finds the project."""
    return {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def rotate(log: Path, limit: int) -> None:
    """Keep a log bounded: its content moves to `<log>.1`, and it starts over.

    The writer has it open for appending, so it goes on at the new end; lines written in between may be lost,
    and where the disk has no room for both, the old ones.
    """
    if not log.exists() or log.stat().st_size <= limit:
        return
    old = log.with_name(log.name + ".1")
    try:
        old.write_bytes(log.read_bytes())
    except OSError:
        old.unlink(missing_ok=True)
    os.truncate(log, 0)
