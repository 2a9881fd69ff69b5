"""JSON log lines, one object each, on standard output.

Fields: `time` (RFC 3339, UTC), `level`, `service`, `event`, what `bind_request` put into the context
(`request_id`, `user`, `trace_id`, `span_id`), the call's own keywords, and `error` for an exception.
The standard library's loggers (uvicorn, aiohttp, mcp …) come out in the same shape.
"""

import logging
import sys
import traceback
from typing import TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from services.kit.trace_context import trace_context

_encoder = msgspec.json.Encoder(enc_hook=str)


def configure_logging(service: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Route structlog and the standard library's logging to `stream` as JSON lines.

    Args:
        service: value of every line's `service`.
        level: `debug`, `info`, `warning` or `error`.
        stream: standard output unless told.
    """
    output = stream or sys.stdout
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _service_of(service),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _render_error,
    ]
    structlog.configure(
        processors=[*shared, _to_json],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(output),
        cache_logger_on_first_use=False,  # reconfiguring must reach loggers made before
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _to_json],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(threshold)
    logging.captureWarnings(capture=True)


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """A logger: `log.info("what happened", key=value)`."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())


def bind_request(request_id: str, *, user: str | None = None, traceparent: str | None = None) -> None:
    """Put the request's identity on every line logged from here on in this task.

    Args:
        request_id: unique per request; the caller's own where it gave one.
        user: the token's subject, once known.
        traceparent: W3C trace context; what isn't well-formed is left out.
    """
    fields = {"request_id": request_id} | trace_fields(traceparent)
    if user is not None:
        fields["user"] = user
    structlog.contextvars.bind_contextvars(**fields)


def trace_fields(traceparent: str | None) -> dict[str, str]:
    """`trace_id` and `span_id` out of a W3C `traceparent`, or nothing."""
    found = trace_context(traceparent)
    return {"trace_id": found.trace_id, "span_id": found.span_id} if found else {}


def _service_of(service: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return add


def _render_error(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Turn `exc_info` into `error`: the type, the message and the stack."""
    info = event.pop("exc_info", None)
    if info is True or (isinstance(info, tuple) and info[0] is None):
        info = sys.exc_info()
    exception = info[1] if isinstance(info, tuple) else info
    if isinstance(exception, BaseException):
        event["error"] = {
            "type": type(exception).__name__,
            "message": str(exception),
            "stack": "".join(traceback.format_exception(exception)),
        }
    return event


def _to_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return _encoder.encode(event).decode()
