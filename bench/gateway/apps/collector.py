"""Takes whatever is sent, and throws it away: `python -m bench.gateway.apps.collector PORT`."""

import sys

import uvicorn

from services.kit.asgi import Receive, Scope, Send, answer_lifespan, respond


async def nothing() -> None:
    """Neither startup nor shutdown has work."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await answer_lifespan(receive, send, startup=nothing, shutdown=nothing)
        return
    while (await receive()).get("more_body", False):
        pass
    await respond(send, 200)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
