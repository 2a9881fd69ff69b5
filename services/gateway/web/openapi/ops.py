"""The operations port in the document's terms."""

from typing import Any, Final

from services.gateway.web.openapi.responses import JSON_TYPE, Response, answered
from services.gateway.web.openapi.schemas import Schema, Schemas
from services.kit.conventions import LIVE_PATH, METRICS_PATH, OPS_PORT, READY_PATH, STARTED_PATH
from services.kit.ops import HealthReport, Phase

_TEXT: Final[Schema] = {"type": "string"}


def path_items(schemas: Schemas) -> dict[str, Any]:
    """Its paths; `/health` is on both ports, and described with the others'."""
    report, phase = schemas.of(HealthReport), schemas.of(Phase)
    return {
        READY_PATH: _item(
            "health_ready", "Whether requests should come here", _passing(report, "They shouldn't")
        ),
        LIVE_PATH: _item("health_live", "Whether the process still answers", _passing(phase)),
        STARTED_PATH: _item("health_started", "Whether the start is over", _passing(phase, "It isn't")),
        METRICS_PATH: _item(
            "metrics", "Metrics for Prometheus", {"200": answered("The text format", {"text/plain": _TEXT})}
        ),
    }


def _item(name: str, summary: str, responses: dict[str, Response]) -> dict[str, Any]:
    operation = {
        "operationId": name,
        "summary": summary,
        "tags": ["operations"],
        "responses": responses,
        "security": [],
    }
    server = {
        "url": f"http://{{pod}}:{OPS_PORT}",
        "description": "The operations port, for probes and Prometheus; not reached from outside",
        "variables": {"pod": {"default": "127.0.0.1"}},
    }
    return {"servers": [server], "get": operation}


def _passing(schema: Schema, otherwise: str | None = None) -> dict[str, Response]:
    found = {"200": answered("So it is", {JSON_TYPE: schema})}
    return found if otherwise is None else found | {"503": answered(otherwise, {JSON_TYPE: schema})}
