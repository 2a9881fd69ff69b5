"""What an `up` would do to a stack on Docker, by Compose's own hashes of its services."""

from __future__ import annotations

from infra.engine.compose.client import HASH_LABEL, Compose
from infra.engine.compose.document import Document
from infra.engine.compose.health import service_of
from infra.engine.plan import Action, Plan, Step

_LEFT = "left the program; `mcpctl down --allow-data-loss` deletes it"


def offline(stack: str, found: Document) -> Plan:
    """The plan against nothing: everything is new."""
    return Plan(
        stack,
        "",
        (
            *_steps("Network", _names(found, "networks"), set()),
            *_steps("Volume", _names(found, "volumes"), set()),
            *(Step(Action.CREATE, "Service", "", name) for name in sorted(found.data["services"])),
        ),
    )


def against(stack: str, found: Document, compose: Compose) -> Plan:
    """The plan against the engine.

    Raises:
        PlatformError: The engine is not reached, or Compose does not understand the file.
    """
    present = {service_of(item): item for item in compose.containers()}
    steps = [
        *_steps("Network", _names(found, "networks"), set(compose.names("network"))),
        *_steps("Volume", _names(found, "volumes"), set(compose.names("volume"))),
    ]
    for name, wanted in _hashes(found, compose).items():
        labels = present[name]["Config"]["Labels"] if name in present else None
        same = labels is not None and labels.get(HASH_LABEL) == wanted
        action = Action.CREATE if labels is None else Action.UNCHANGED if same else Action.CHANGE
        steps.append(Step(action, "Service", "", name))
    gone = sorted(present.keys() - found.data["services"].keys())
    return Plan(stack, "Docker", (*steps, *(Step(Action.DELETE, "Service", "", name) for name in gone)))


def _hashes(found: Document, compose: Compose) -> dict[str, str]:
    out = compose.must("--file", "-", "config", "--hash", "*", stdin=found.text)
    return dict(sorted(line.split() for line in out.splitlines() if line.strip()))


def _names(found: Document, section: str) -> set[str]:
    return {item["name"] for item in found.data.get(section, {}).values()}


def _steps(kind: str, wanted: set[str], present: set[str]) -> list[Step]:
    gone = Action.KEEP if kind == "Volume" else Action.DELETE
    return [
        *(
            Step(Action.UNCHANGED if name in present else Action.CREATE, kind, "", name)
            for name in sorted(wanted)
        ),
        *(
            Step(gone, kind, "", name, note=_LEFT if gone is Action.KEEP else "")
            for name in sorted(present - wanted)
        ),
    ]
