"""The smallest server there is: a copy of this file, renamed, is how a new one begins.

`python -m services.servers.echo` runs it. Health, metrics, logs, time limits and shutdown come with the kit.
"""

from services.kit.health import Health
from services.servers.kit import READ_ONLY, ServerSettings, ToolServer, run


def build(settings: ServerSettings, _health: Health) -> ToolServer:
    """Declare what the server offers: the functions' types and docstrings are what clients see."""
    server = ToolServer(
        "echo", settings, title="Echo", instructions="Tools that answer from what they are given."
    )

    @server.tool(annotations=READ_ONLY)
    def echo(text: str) -> str:
        """Return the text unchanged."""
        return text

    @server.tool(annotations=READ_ONLY)
    async def add(a: float, b: float) -> float:
        """Add two numbers."""
        return a + b

    @server.resource("echo://about", mime_type="text/plain")
    def about() -> str:
        """What this server is for."""
        return "An example server of mcp-platform."

    @server.prompt()
    def repeat_after_me(text: str) -> str:
        """Ask the model to say something."""
        return f"Say this, word for word: {text}"

    return server


if __name__ == "__main__":
    run(ServerSettings, build)
