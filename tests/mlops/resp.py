"""A Redis for tests: small, and no good one where a test says so."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field


def many(words: Sequence[bytes], kind: bytes) -> bytes:
    return kind + b"%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


@dataclass
class RespServer:
    """A small Redis: a few commands of its wire protocol (RESP3) on values, sets and lists.

    ``mute`` never answers, ``garbled`` answers nonsense, so many times until now.
    """

    values: dict[bytes, bytes] = field(default_factory=dict)
    sets: dict[bytes, set[bytes]] = field(default_factory=dict)
    lists: dict[bytes, list[bytes]] = field(default_factory=dict)
    mute: bool = False
    garbled: bool = False
    garbage: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whoever goes before he has read his answer resets the connection.
        with closing(writer), suppress(ConnectionError):
            while head := await reader.readline():
                words = []
                for _ in range(int(head[1:])):
                    size = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(size + 2))[:-2])
                if not self.mute:
                    self.garbage += self.garbled
                    writer.write(b"*odd\r\n" if self.garbled else self.answer(words))

    def answer(self, words: list[bytes]) -> bytes:
        match words[0].upper(), words[1:]:
            case b"GET", [key]:
                value = self.values.get(key)
                return b"_\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)
            case b"SET", [key, value, *_]:
                self.values[key] = value
                return b"+OK\r\n"
            case b"HELLO", _:
                return b"%1\r\n$5\r\nproto\r\n:3\r\n"
            case _:
                return self.answer_of_sets(words)

    def answer_of_sets(self, words: list[bytes]) -> bytes:
        match words[0].upper(), words[1:]:
            case b"SADD", [key, *names]:
                self.sets.setdefault(key, set()).update(names)
                return b":%d\r\n" % len(names)
            case b"SMEMBERS", [key]:
                return many(sorted(self.sets.get(key, set())), b"~")
            case b"DEL", names:
                gone = [self.values.pop(name, None) for name in names]
                return b":%d\r\n" % (len(gone) - gone.count(None))
            case b"RPUSH", [key, word]:
                self.lists.setdefault(key, []).append(word)
                return b":1\r\n"
            case b"LRANGE", [key, *_]:
                return many(self.lists.get(key, []), b"*")
            case b"EXPIRE", _:
                return b":1\r\n"
            case _:
                return b"+OK\r\n"


@asynccontextmanager
async def resp_server() -> AsyncIterator[RespServer]:
    fake = RespServer()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
