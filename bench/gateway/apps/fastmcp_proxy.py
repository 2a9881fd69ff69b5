"""FastMCP's own proxy in front of a server, as fast as its settings make it: `fastmcp_proxy.py URL PORT`.

Runs in the comparator's environment, where this repository isn't.
"""

import sys

import uvicorn
from fastmcp.server import create_proxy  # pyright: ignore[reportMissingImports] - not in our environment

if __name__ == "__main__":
    proxy = create_proxy(sys.argv[1], name="proxy")
    uvicorn.run(
        proxy.http_app(json_response=True, stateless_http=True),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
