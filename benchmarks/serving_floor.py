"""A server that does nothing: uvloop and httptools, as ours has them, and the same answer to whatever it is asked.

`python -m benchmarks.serving_floor PORT FILE` answers with the bytes of the file. What it takes is what the kernel and
the parser of HTTP take of a request, below which no server in Python comes.
"""

import argparse
import asyncio
from pathlib import Path
from typing import cast

import httptools
import uvloop


class Line(asyncio.Protocol):
    """A connection.

    Args:
        answer: The whole answer.
    """

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Answer."""
        if self._transport is not None:
            self._transport.write(self._answer)


async def serve(port: int, answer: bytes) -> None:
    """Answer until cancelled."""
    server = await asyncio.get_running_loop().create_server(lambda: Line(answer), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Serve until a signal says stop."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_floor")
    parser.add_argument("port", type=int)
    parser.add_argument("answer", type=Path)
    wish = parser.parse_args()
    uvloop.run(serve(wish.port, wish.answer.read_bytes()))


if __name__ == "__main__":
    main()
