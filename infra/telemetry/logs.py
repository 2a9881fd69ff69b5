"""The configuration of the collectors that read the pods' logs. Pure."""

from __future__ import annotations

from typing import Final

from infra.naming import Stack
from infra.quantities import size_bytes
from infra.settings.telemetry import Logging
from infra.telemetry import parts
from infra.telemetry.collector import Batch, Component, FileStorage, FromEnvironment, SendingQueue, to_yaml
from infra.telemetry.receivers import (
    FieldReference,
    FileLogReceiver,
    Operator,
    Retry,
    SeverityField,
    TimeField,
    TraceFields,
)

LOGS_PATH: Final = "/var/log/pods"
"""Where a kubelet keeps logs: `<namespace>_<pod>_<uid>/<container>/<restarts>.log`."""

STATE_PATH: Final = "/var/lib/otelcol"
NODE_NAME: Final = "NODE_NAME"

_STORAGE: Final = "file_storage"
_FOR_EVER: Final = Retry(enabled=True, max_elapsed_time="0s")


def build_config(stack: Stack, logging: Logging) -> str:
    """Read on from where it ended, and forget nothing until it is taken: the files are the longest queue."""
    processors: Component = {
        parts.MEMORY_LIMITER: parts.memory_limiter(logging.resources),
        parts.RESOURCE: parts.origin(stack, k8s_node_name=FromEnvironment(variable=NODE_NAME)),
    }
    queue = SendingQueue(
        queue_size=size_bytes(logging.queue),
        block_on_overflow=True,
        storage=_STORAGE,
        batch=Batch(flush_timeout="1s", min_size=256 * 2**10, max_size=3 * 2**20),
    )
    return to_yaml(
        parts.configuration(
            logging.export,
            signal="logs",
            receivers={"file_log": _receiver(stack)},
            processors=processors,
            sending=parts.exporter(logging.export, _FOR_EVER, queue),
            extensions={_STORAGE: FileStorage(directory=STATE_PATH, create_directory=False)},
        )
    )


def _receiver(stack: Stack) -> FileLogReceiver:
    return FileLogReceiver(
        # No other namespace's, nor the collectors' own, which would be read for ever.
        include=(f"{LOGS_PATH}/{stack.namespace}_*/*/*.log",),
        include_file_path=True,
        # Long lines come in parts, which may end with a blank.
        preserve_trailing_whitespaces=True,
        # A new collector reads again what is there: twice is better than never.
        start_at="beginning",
        storage=_STORAGE,
        retry_on_failure=_FOR_EVER,
        operators=operators(),
    )


def operators() -> tuple[Operator, ...]:
    """From a line of a container runtime to a record.

    Which pod it is from says the file's path, which no program in a pod can choose. What a service writes as
    JSON (services/kit/logs.py) becomes attributes; other lines stay as they are.
    """
    return (
        Operator(type="container"),
        Operator(type="remove", if_="attributes.logtag != nil", field="attributes.logtag"),
        Operator(type="copy", from_='resource["k8s.container.name"]', to='resource["service.name"]'),
        Operator(
            type="json_parser",
            if_='body matches "^{"',
            on_error="send_quiet",
            parse_from="body",
            parse_to="attributes",
            timestamp=TimeField(
                parse_from="attributes.time",
                layout_type="gotime",
                layout="2006-01-02T15:04:05.999999999Z07:00",
            ),
            severity=SeverityField(
                parse_from="attributes.level", mapping={"warn": "warning", "fatal": "critical"}
            ),
            trace=TraceFields(
                trace_id=FieldReference(parse_from="attributes.trace_id"),
                span_id=FieldReference(parse_from="attributes.span_id"),
            ),
        ),
        *(_removed(name) for name in ("time", "level", "trace_id", "span_id")),
        Operator(type="move", if_=_ours("event"), from_="attributes.event", to="body"),
    )


def _removed(name: str) -> Operator:
    """What is a part of the record by now."""
    return Operator(type="remove", if_=_ours(name), field=f"attributes.{name}")


def _ours(name: str) -> str:
    """Of other programs' JSON nobody knows what it means: it stays, beside what could be read of it."""
    return f"attributes.service != nil and attributes.{name} != nil"
