"""What an OpenTelemetry collector takes: OTLP, and the files that containers write. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class OtlpHttpServer:
    """OTLP over HTTP.

    Attributes:
        endpoint: Address and port to listen on.
        max_request_body_size: In bytes.
    """

    endpoint: str
    max_request_body_size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OtlpProtocols:
    """Of the two protocols the one that the services speak."""

    http: OtlpHttpServer


@dataclass(frozen=True, kw_only=True, slots=True)
class OtlpReceiver:
    """Takes what others send."""

    protocols: OtlpProtocols


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeField:
    """Where the time of an entry is, and what it looks like."""

    parse_from: str
    layout_type: Literal["gotime"]
    layout: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SeverityField:
    """Where the level of an entry is; `mapping` names levels beside those that the collector knows."""

    parse_from: str
    mapping: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldReference:
    """Where something is in an entry."""

    parse_from: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceFields:
    """Where an entry says which span it was written in."""

    trace_id: FieldReference
    span_id: FieldReference


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """A step that each log line goes through.

    Attributes:
        type: What it does.
        if_: Condition; always when left out.
        on_error: What becomes of a line that it can't be done to.
        from_: Field that is copied or moved.
        to: Where to.
        field: Field that is removed.
        parse_from: Field that is parsed.
        parse_to: Where its parts go.
        timestamp: Where the line's time is among them.
        severity: Where its level is.
        trace: Where its span is.
    """

    type: Literal["container", "json_parser", "copy", "move", "remove"]
    if_: str | None = None
    on_error: Literal["send_quiet"] | None = None
    from_: str | None = None
    to: str | None = None
    field: str | None = None
    parse_from: str | None = None
    parse_to: str | None = None
    timestamp: TimeField | None = None
    severity: SeverityField | None = None
    trace: TraceFields | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """What is done about what nobody took; `0s` tries for ever."""

    enabled: bool
    max_elapsed_time: str
    initial_interval: str = "1s"
    max_interval: str = "30s"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileLogReceiver:
    """Reads files that grow.

    Attributes:
        include: Patterns of their paths.
        include_file_path: Whether each line says where it is from.
        preserve_trailing_whitespaces: Whether blanks at the end of lines are a part of them.
        start_at: Where a file is read from that is not known yet.
        storage: The extension that remembers how far files are read.
        retry_on_failure: What is done about lines that the pipeline refuses.
        operators: What each line goes through.
    """

    include: tuple[str, ...]
    include_file_path: bool
    preserve_trailing_whitespaces: bool
    start_at: Literal["beginning", "end"]
    storage: str
    retry_on_failure: Retry
    operators: tuple[Operator, ...]
