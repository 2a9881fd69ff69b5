"""How a tool says that it could not do what was asked."""

from mcp.server.mcpserver.exceptions import ToolError


class ToolFailure(ToolError):  # noqa: N818 - it is what the caller reads, an expected outcome and no bug
    """A failure that the caller should read: the message becomes the tool's error result.

    Anything else that a tool raises is a bug: the caller learns the tool's name, the log gets the traceback.
    """
