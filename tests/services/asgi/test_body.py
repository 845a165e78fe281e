import asyncio
import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request

from masking.errors import EmptyMedia, MediaTooLarge
from services.asgi.body import read_media
from services.asgi.errors import BrokenBody, SlowBody
from services.asgi.multipart import REGIONS_BYTES
from tests.patience import PATIENCE_SECONDS

FORM = "multipart/form-data; boundary=limit"
PART = b'--limit\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
END = b"\r\n--limit--\r\n"


class Sender:
    """The other end of one request; counts what was taken of its chunks."""

    def __init__(self, chunks: Iterable[bytes], hangs: bool = False, leaves: bool = False) -> None:
        self.chunks = list(chunks)
        self.taken = 0
        self.hangs = hangs
        self.leaves = leaves

    async def receive(self) -> dict[str, object]:
        if self.taken == len(self.chunks):
            if self.leaves:
                return {"type": "http.disconnect"}
            if self.hangs:
                await asyncio.sleep(2 * PATIENCE_SECONDS)
            return {"type": "http.request", "body": b"", "more_body": False}
        chunk = self.chunks[self.taken]
        self.taken += 1
        return {"type": "http.request", "body": chunk, "more_body": True}


def read(
    sender: Sender, headers: dict[str, str] | None = None, limit: int = 1000, seconds: float = PATIENCE_SECONDS
) -> bytes:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    request = Request({"type": "http", "headers": raw}, sender.receive)
    return asyncio.run(read_media(request, limit, seconds)).data


@given(st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=9))
def test_a_raw_body_is_joined(chunks: list[bytes]) -> None:
    assert read(Sender(chunks)) == b"".join(chunks)


@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(0, 600), max_size=6))
def test_a_form_is_read_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    body = PART + data + END
    edges = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    chunks = [body[start:end] for start, end in itertools.pairwise(edges)]
    if b"\r\n--limit" not in data:
        assert read(Sender(chunks), {"Content-Type": FORM}) == data


@pytest.mark.parametrize(
    "body",
    [
        b"no form at all",
        PART + b"data",
        PART + b"data" + END[:-6],
        PART[:60],
        b"--limit--\r\n",
        PART.replace(b'"file"', b'"photo"') + b"data" + END,
        PART.replace(b"form-data; name", b"attachment; name") + b"data" + END,
        b"--limit\r\n\r\ndata" + END,
        PART + b"data\r\n" + PART + b"data" + END,
        PART + b"data\r\n" + PART.replace(b'"file"', b'"style"') + b"blur" + END,
        PART.replace(b'"file"', b'"style"') + b"blur\r\n" + PART + b"data" + END,
        b"--limit\r\nBroken header\r\n\r\ndata" + END,
        b"--limit\r\n" + b"X-Many: 1\r\n" * 1000 + b"\r\ndata" + END,
        b"--limit\r\nX-Long: " + b"1" * 15000 + b"\r\n\r\ndata" + END,
    ],
)
def test_a_form_with_anything_but_one_file_is_broken(body: bytes) -> None:
    with pytest.raises(BrokenBody) as caught:
        read(Sender([body]), {"Content-Type": FORM})
    assert "data" not in str(caught.value)


@pytest.mark.parametrize("boundary", ["", "; boundary=", f"; boundary={'x' * 5000}"])
def test_a_form_needs_its_boundary(boundary: str) -> None:
    with pytest.raises(BrokenBody):
        read(Sender([PART + b"data" + END]), {"Content-Type": f"multipart/form-data{boundary}"})


@pytest.mark.parametrize("sender", [Sender([]), Sender([b""]), Sender([b"", b""])])
def test_no_bytes_are_told_apart(sender: Sender) -> None:
    with pytest.raises(EmptyMedia):
        read(sender)
    with pytest.raises(EmptyMedia):
        read(Sender([PART + END]), {"Content-Type": FORM})


def test_nothing_is_kept_past_the_limit_and_reading_soon_stops() -> None:
    sender, held = Sender([b"x" * 100] * 100), []

    async def run() -> None:
        request = Request({"type": "http", "headers": []}, sender.receive)
        await read_media(request, 1000, PATIENCE_SECONDS, held.append)

    with pytest.raises(MediaTooLarge):
        asyncio.run(run())
    assert sum(held) == 1000
    assert sender.taken == 21, "as much again is thrown away, so that the sender gets to read why"


@pytest.mark.parametrize("declared", ["1001", "99999999999999999999", "-1", "x"])
def test_a_declared_length_above_the_limit_is_enough(declared: str) -> None:
    sender = Sender([b"x"])
    with pytest.raises(MediaTooLarge):
        read(sender, {"Content-Length": declared, "Expect": "100-continue"})
    assert sender.taken == 0


def test_as_much_is_thrown_away_of_a_body_that_declares_its_length() -> None:
    sender = Sender([b"x" * 100] * 100)
    with pytest.raises(MediaTooLarge):
        read(sender, {"Content-Length": "10000"})
    assert sender.taken == 20


def test_a_sender_that_waits_for_a_word_is_not_waited_for() -> None:
    with pytest.raises(MediaTooLarge):
        read(Sender([b"x"], hangs=True), {"Content-Length": "1001"})


def test_the_limit_itself_is_allowed() -> None:
    assert len(read(Sender([b"x" * 1000]), {"Content-Length": "1000"})) == 1000
    assert len(read(Sender([PART + b"x" * 1000 + END]), {"Content-Type": FORM})) == 1000
    with pytest.raises(MediaTooLarge):
        read(Sender([PART + b"x" * 1001 + END]), {"Content-Type": FORM})


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with pytest.raises(SlowBody):
        read(Sender([b"x"], hangs=True), seconds=0.05)


def test_a_sender_that_leaves_is_noticed() -> None:
    with pytest.raises(ClientDisconnect):
        read(Sender([b"x"], leaves=True))


def test_every_chunk_is_told_before_it_is_kept() -> None:
    held: list[int] = []

    async def run() -> None:
        request = Request({"type": "http", "headers": []}, Sender([b"xx", b"yyy"]).receive)
        await read_media(request, 1000, PATIENCE_SECONDS, held.append)

    asyncio.run(run())
    assert sum(held) == 5


@pytest.mark.parametrize("first", ["file", "regions"])
def test_a_form_may_hold_a_list_of_regions_beside_the_file(first: str) -> None:
    parts = {
        "file": PART + b"data\r\n",
        "regions": b"--limit\r\nContent-Disposition: form-data; name=regions\r\n\r\nrows\r\n",
    }
    body = parts.pop(first) + b"".join(parts.values())
    request = Request({"type": "http", "headers": [(b"content-type", FORM.encode())]}, Sender([body + END[2:]]).receive)
    media = asyncio.run(read_media(request, 1000, PATIENCE_SECONDS))
    assert (media.data, media.regions) == (b"data", "rows")


@pytest.mark.parametrize("rows", [b"\xff\xfe", b"x" * (REGIONS_BYTES + 1)])
def test_a_list_of_regions_that_is_no_text_or_too_long_is_refused(rows: bytes) -> None:
    body = PART + b"data\r\n--limit\r\nContent-Disposition: form-data; name=regions\r\n\r\n" + rows + END
    with pytest.raises(BrokenBody, match="regions"):
        read(Sender([body]), {"Content-Type": FORM})
