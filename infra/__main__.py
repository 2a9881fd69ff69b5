"""The Pulumi program of one stack."""

import pulumi

from infra.assembly import assemble
from infra.errors import PlatformError
from infra.settings.configured import load
from infra.settings.placeholders import placeholders, warning


class RefusedError(PlatformError, pulumi.RunError):
    """Pulumi prints a RunError as it stands, without a trace."""


def main() -> None:
    """Read the settings, declare what they ask for, say where it is."""
    stack = pulumi.get_stack()
    try:
        settings = load()
        outputs = assemble(stack, settings)
    except PlatformError as error:
        raise RefusedError(str(error), hint=error.hint) from error
    if settings.production and (left := placeholders(settings.model_dump())):
        pulumi.log.warn(warning(stack, left))
    for name, value in outputs.items():
        pulumi.export(name, value)


if __name__ == "__main__":
    main()
