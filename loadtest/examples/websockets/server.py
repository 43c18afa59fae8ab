"""A fan-out server on PyPI's `websockets`: every text message goes to all clients, including the sender. One thread.

The library's `broadcast` writes to all without waiting for any, so a client that reads slowly would be buffered without
end: one with more than 1 MiB unsent is cut off.

    python3 -m pip install --target target/compare/python -r loadtest/examples/websockets/requirements.txt
    PYTHONPATH=target/compare/python python3 loadtest/examples/websockets/server.py 8080   # ws://127.0.0.1:8080/
"""

import asyncio
import signal
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

UNSENT_BYTES_MAX = 1024 * 1024
MESSAGE_BYTES_MAX = 64 * 1024

clients: set[ServerConnection] = set()


async def serve_client(client: ServerConnection) -> None:
    clients.add(client)
    try:
        async for message in client:
            if isinstance(message, str):
                for slow in [c for c in clients if c.transport.get_write_buffer_size() > UNSENT_BYTES_MAX]:
                    clients.discard(slow)
                    slow.transport.abort()
                broadcast(clients, message)
    except ConnectionClosed:
        pass
    finally:
        clients.discard(client)


async def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    options = {"backlog": 4096, "compression": None, "max_size": MESSAGE_BYTES_MAX}
    async with serve(serve_client, "127.0.0.1", port, **options):
        end = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
        await end.wait()


asyncio.run(main())
