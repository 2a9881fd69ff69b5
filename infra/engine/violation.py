"""What policies say of a stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MANDATORY: Final = "mandatory"


@dataclass(frozen=True, slots=True)
class Violation:
    """What a policy says about a resource.

    Attributes:
        policy: The policy's name.
        urn: The resource, or "" where the policy speaks of the whole stack.
        message: What is wrong and what to do.
        enforcement: `mandatory` (stops a deployment) or `advisory`.
        severity: `low`, `medium`, `high`, `critical`, or "" where the policy has none.
    """

    policy: str
    urn: str
    message: str
    enforcement: str
    severity: str

    @property
    def mandatory(self) -> bool:
        """Whether a deployment must stop."""
        return self.enforcement == MANDATORY
