"""Load for a server, from a process of its own: as many requests as it answers, or so many a second whatever it does.

`python -m benchmarks.serving_load URL BODY --connections 32 --seconds 3` prints one line of JSON. With ``--rate`` each
request is sent when its time has come, and its latency counts from then, answered or not (no coordinated omission).
"""

import argparse
import asyncio
import json
import os
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import numpy as np

LATE_SECONDS: Final = 5.0
"""How long answers are waited for after the last request was sent."""


@dataclass(slots=True)
class Tally:
    """What came back: how many of each status, the latencies of those with 200, and when the last came."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    last: float = 0.0


class Line(asyncio.Protocol):
    """One connection, on which one request waits for its answer at a time."""

    def __init__(self, request: bytes, tally: Tally, free: "deque[Line]") -> None:
        self._request = request
        self._tally = tally
        self._free = free
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._began = 0.0
        self.again = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, began: float) -> None:
        """Send the request, which was due at a time."""
        self._began = began
        if self._transport is not None:
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take what came; at the end of an answer count it."""
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        place = self._buffer.lower().find(b"content-length:", 0, end)
        length = int(self._buffer[place + 15 : self._buffer.find(b"\r\n", place)])
        if len(self._buffer) < end + 4 + length:
            return
        now, status = time.perf_counter(), int(self._buffer[9:12])
        self._buffer = b""
        self._tally.statuses[status] += 1
        self._tally.last = now
        if status == 200:
            self._tally.seconds.append(now - self._began)
        if self.again:
            self.ask(now)
        else:
            self._free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a connection that the server closed."""
        self._tally.statuses[0] += 1


async def load(url: str, body: bytes, connections: int, seconds: float, rate: float | None, head: str) -> Tally:
    """Put a load on a server and return what came of it."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{head}Content-Length: {len(body)}\r\n\r\n"
    tally, free = Tally(), deque[Line]()
    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: Line(lines.encode() + body, tally, free), host, port))[1]
        for _ in range(connections)
    ]
    start = time.perf_counter()
    if rate is None:
        for line in made:
            line.again = True
            line.ask(start)
        await asyncio.sleep(seconds)
        for line in made:
            line.again = False
        await asyncio.sleep(0.2)
        return tally
    free.extend(made)
    for place in range(int(seconds * rate)):
        due = start + place / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        if free:
            free.popleft().ask(due)
        else:
            # No connection is free: nobody took it, which a client sees as an answer that never came.
            tally.statuses[-1] += 1
    until = time.perf_counter() + LATE_SECONDS
    while len(free) < len(made) and time.perf_counter() < until:  # noqa: ASYNC110  # nothing but time ends it
        await asyncio.sleep(0.02)
    return tally


def main() -> None:
    """Print what came back as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_load")
    parser.add_argument("url")
    parser.add_argument("body", type=Path)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--head", default="Content-Type: application/json")
    wish = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    head = "".join(f"{line}\r\n" for line in wish.head.split("|"))
    try:
        import uvloop

        runner = uvloop.run
    except ImportError:
        runner = asyncio.run  # type: ignore[assignment]
    began = time.perf_counter()
    tally = runner(load(wish.url, wish.body.read_bytes(), wish.connections, wish.seconds, wish.rate, head))
    told = {
        "answered": tally.statuses[200],
        "statuses": {str(status): count for status, count in tally.statuses.items()},
        "per_second": tally.statuses[200] / max(wish.seconds, tally.last - began if wish.rate else 0.0),
        "quantiles": np.quantile(tally.seconds, [0.5, 0.95, 0.99, 1.0]).tolist() if tally.seconds else [],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
