"""A policy pack's own process, spoken to as Pulumi's engine does (gRPC `pulumirpc.Analyzer` on loopback)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import grpc
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from infra.engine.record import child_environment
from infra.errors import PlatformError

START_TIMEOUT: Final = 60.0
CALL_TIMEOUT: Final = 120.0
CHANNEL: Final = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", 400 * 1024 * 1024)]


class Analyzer:
    """The running pack. As a context manager: it starts at once, and it is ended on every way out.

    Starting takes the pack's imports (about a second); `connect` waits for it, so other work fits in between.

    Attributes:
        process: The pack's process, from entering on.
    """

    def __init__(self, pack: Path, *, project: str, stack: str) -> None:
        self._pack = pack
        self._project = project
        self._stack = stack

    def __enter__(self) -> Self:
        if not (self._pack / "__main__.py").is_file():
            raise PlatformError(f"{self._pack} is not a policy pack: it has no __main__.py")
        self._errors = tempfile.TemporaryFile()
        # -u: the pack prints its port and then waits for ever; Python would keep the line in its buffer.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-u", "-m", "infra.engine.lifeline", str(self._pack)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=child_environment()
            | {
                "PULUMI_PROJECT": self._project,
                "PULUMI_STACK": self._stack,
                "PULUMI_DRY_RUN": "true",
                "PULUMI_ORGANIZATION": "organization",
            },
        )
        self._channel: grpc.Channel | None = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel is not None:
            self._channel.close()
        self.process.kill()
        self.process.communicate()
        self._errors.close()

    def connect(self) -> analyzer_pb2_grpc.AnalyzerStub:
        """Wait until the pack listens, and tell it the stack.

        Raises:
            PlatformError: The pack ended, or did not start within `START_TIMEOUT` seconds.
        """
        port = self._port()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL)
        stub = analyzer_pb2_grpc.AnalyzerStub(self._channel)
        try:
            stub.ConfigureStack(
                analyzer_pb2.AnalyzerStackConfigureRequest(
                    stack=self._stack, project=self._project, organization="organization", dry_run=True
                ),
                timeout=START_TIMEOUT,
                wait_for_ready=True,
            )
            stub.Configure(analyzer_pb2.ConfigureAnalyzerRequest(), timeout=START_TIMEOUT)
        except grpc.RpcError as error:
            raise self.failure(error) from None
        return stub

    def failure(self, error: grpc.RpcError) -> PlatformError:
        """A failed call as an error that names the pack and the policy's own exception."""
        details = error.details() if isinstance(error, grpc.Call) else str(error)
        return PlatformError(f"policy pack {self._pack.name}: {details}{self._last_line(': ')}")

    def _port(self) -> int:
        """The number that a pack prints when it listens."""
        assert self.process.stdout is not None  # noqa: S101 - PIPE above
        timer = threading.Timer(START_TIMEOUT, self.process.kill)
        timer.start()
        try:
            line = self.process.stdout.readline().strip()
        finally:
            timer.cancel()
        with suppress(ValueError):
            return int(line)
        self.process.kill()
        self.process.wait()
        raise PlatformError(
            f"policy pack {self._pack.name} did not start{self._last_line(': ') or f': it printed {line!r}'}"
        )

    def _last_line(self, prefix: str) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return prefix + lines[-1] if lines else ""
