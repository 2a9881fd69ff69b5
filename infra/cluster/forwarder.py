"""Carries TCP connections from the host to the node.

The listening sockets were opened in the host's network namespace and are inherited; this process lives in the
node's, so its own connections start there. No route, address or firewall rule of the host is needed for it.

    python -m infra.cluster.forwarder DESCRIPTOR=ADDRESS:PORT …
"""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import closing

CHUNK = 256 * 1024


async def serve(descriptor: int, address: str, port: int) -> None:
    """Forward every connection that arrives on a listening socket, for ever."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            try:
                node_reader, node_writer = await asyncio.open_connection(address, port)
            except OSError as error:
                print(f"{address}:{port} does not answer: {error}", file=sys.stderr, flush=True)
                return
            with closing(node_writer):
                await asyncio.gather(pump(reader, node_writer), pump(node_reader, writer))

    server = await asyncio.start_server(handle, sock=socket.socket(fileno=descriptor))
    await server.serve_forever()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction until it ends, then tell the other side that nothing more comes."""
    try:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        # One side went away in the middle: closing the other tells it the same.
        writer.close()


async def main(arguments: list[str]) -> None:
    """Serve every `DESCRIPTOR=ADDRESS:PORT`."""
    routes: list[tuple[int, str, int]] = []
    for argument in arguments:
        descriptor, _, target = argument.partition("=")
        address, _, port = target.rpartition(":")
        routes.append((int(descriptor), address, int(port)))
    await asyncio.gather(*(serve(*route) for route in routes))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
