"""Failures that a user can act on."""


class PlatformError(Exception):
    """What was wrong and where, in one line, and what to do about it.

    `mcpctl` prints both and exits with 2; anything else that is raised is a defect of ours.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
