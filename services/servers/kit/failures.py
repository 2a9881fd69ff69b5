"""Why a tool call failed: in the words of the metrics, and in words for whoever got the arguments wrong."""

from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from services.kit.metrics import ErrorType
from services.kit.settings import explain


def error_type(error: BaseException, *, known_tool: bool) -> ErrorType:
    """Classify what `MCPServer.call_tool` raised, or its time limit did."""
    match error:
        case TimeoutError():
            return ErrorType.TIMEOUT
        case UnexpectedToolError():
            return ErrorType.INTERNAL
        case ToolError() if known_tool and not isinstance(error.__cause__, ValidationError):
            return ErrorType.TOOL
        case ToolError() | MCPError():
            return ErrorType.PROTOCOL
        case Exception():
            return ErrorType.INTERNAL
        case _:
            return ErrorType.CANCELLED


def wrong_arguments(tool: str, error: ValidationError) -> ToolError:
    """One line that names each wrong argument and what it may be; values are left out, they may be long."""
    problems = [_problem(detail) for detail in error.errors(include_url=False, include_input=False)]
    return ToolError(f"wrong arguments for {tool}: {'; '.join(problems)}")


def _problem(detail: ErrorDetails) -> str:
    argument = ".".join(str(part) for part in detail["loc"])
    match detail["type"]:
        case "missing":
            return f"{argument} is missing"
        case "extra_forbidden":
            return f"there is no argument {argument}"
        case _:
            return f"{argument} {explain(detail)}"
