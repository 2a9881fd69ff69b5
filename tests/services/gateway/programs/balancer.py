"""A TCP balancer, as a Service is: `balancer.py FILE PORT`; the file lists port and ops port of each backend.

New connections go to backends whose readiness probe passes, in turn; to another one if that refuses.
"""

import asyncio
import itertools
import json
import sys
from pathlib import Path

import aiohttp

file, port = Path(sys.argv[1]), int(sys.argv[2])
ready: list[int] = []
turns = itertools.count()


def backends() -> list[tuple[int, int]]:
    return json.loads(file.read_text())


async def probe() -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        while True:
            found: list[int] = []
            for backend, ops in backends():
                try:
                    async with session.get(f"http://127.0.0.1:{ops}/health/ready") as response:
                        if response.status == 200:
                            found.append(backend)
                except (aiohttp.ClientError, TimeoutError):
                    pass
            ready[:] = found
            await asyncio.sleep(0.1)


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        writer.transport.abort()
    else:
        writer.close()


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    turn = next(turns)
    for attempt in range(len(ready)):
        try:
            backend = ready[(turn + attempt) % len(ready)]
            answers, requests = await asyncio.open_connection("127.0.0.1", backend)
        except OSError:
            continue
        await asyncio.gather(pipe(reader, requests), pipe(answers, writer))
        return
    writer.transport.abort()


async def main() -> None:
    server = await asyncio.start_server(accept, "127.0.0.1", port, backlog=1024)
    async with server:
        await asyncio.gather(probe(), server.serve_forever())


asyncio.run(main())
