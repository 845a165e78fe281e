import asyncio
import errno
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect, Request

from masking.errors import EmptyMedia, MediaTooLarge
from services.asgi import upload
from services.asgi.errors import BrokenBody, SlowBody, StorageFull
from services.asgi.upload import save_media
from tests.patience import PATIENCE_SECONDS, until_true

FORM = {"Content-Type": "multipart/form-data; boundary=limit"}
PART = b'--limit\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
END = b"\r\n--limit--\r\n"
MEGABYTE = bytes(range(256)) * 4096


class Sender:
    """The other end of a request: sends its chunks, then ends, hangs or leaves; waits between them if asked to."""

    def __init__(self, chunks: Iterable[bytes], end: str = "ends", pause: float = 0) -> None:
        self.chunks = iter(chunks)
        self.end = end
        self.pause = pause

    async def receive(self) -> dict[str, object]:
        await asyncio.sleep(self.pause)
        chunk = next(self.chunks, None)
        if chunk is not None:
            return {"type": "http.request", "body": chunk, "more_body": True}
        if self.end == "leaves":
            return {"type": "http.disconnect"}
        if self.end == "hangs":
            await asyncio.sleep(2 * PATIENCE_SECONDS)
        return {"type": "http.request", "body": b"", "more_body": False}


def save(
    path: Path,
    sender: Sender,
    headers: dict[str, str] | None = None,
    limit: int = 10_000_000,
    seconds: float = PATIENCE_SECONDS,
    idle: float = PATIENCE_SECONDS,
    has_room: Callable[[int], bool] = lambda _: True,
) -> int:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    request = Request({"type": "http", "headers": raw}, sender.receive)
    return asyncio.run(save_media(request, path, limit, seconds, idle, has_room))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "input"


def test_a_raw_body_lies_in_the_file_for_its_owner_alone(path: Path) -> None:
    assert save(path, Sender([MEGABYTE, b"", b"tail", MEGABYTE])) == ""
    assert path.read_bytes() == MEGABYTE + b"tail" + MEGABYTE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("step", [1000, 65_536, 5_000_000])
def test_a_form_is_read_however_it_is_cut(path: Path, step: int) -> None:
    body = PART + 3 * MEGABYTE + END
    chunks = [body[start : start + step] for start in range(0, len(body), step)]
    assert save(path, Sender(chunks), FORM) == ""
    assert path.read_bytes() == 3 * MEGABYTE


def test_what_was_there_before_stays(path: Path) -> None:
    path.write_bytes(b"another's")
    with pytest.raises(FileExistsError):
        save(path, Sender([b"mine"]))
    assert path.read_bytes() == b"another's"


@pytest.mark.parametrize(
    ("sender", "headers", "options", "error"),
    [
        (Sender([]), {}, {}, EmptyMedia),
        (Sender([PART + END]), FORM, {}, EmptyMedia),
        (Sender([b"x" * 600] * 2), {}, {"limit": 1000}, MediaTooLarge),
        (Sender([PART + b"x" * 1001 + END]), FORM, {"limit": 1000}, MediaTooLarge),
        (Sender([b"x"]), {"Content-Length": "1001", "Expect": "100-continue"}, {"limit": 1000}, MediaTooLarge),
        (Sender([PART + MEGABYTE]), FORM, {}, BrokenBody),
        (Sender([PART + MEGABYTE + b"\r\n" + PART + b"y" + END]), FORM, {}, BrokenBody),
        (Sender([MEGABYTE], "leaves"), {}, {}, ClientDisconnect),
        (Sender([MEGABYTE], "hangs"), {}, {"idle": 0.05}, SlowBody),
        (Sender([b"x"] * 1000, pause=0.01), {}, {"seconds": 0.1}, SlowBody),
        (Sender([MEGABYTE]), {}, {"has_room": lambda _: False}, StorageFull),
        (Sender([b"x"]), {"Content-Length": "900"}, {"has_room": lambda size: size < 900}, StorageFull),
    ],
)
def test_what_goes_wrong_leaves_nothing(
    path: Path, sender: Sender, headers: dict[str, str], options: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        save(path, sender, headers, **options)
    assert not path.exists()


def test_a_disk_that_fills_up_on_the_way_is_noticed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "CHECK_BYTES", 1)
    asked = iter([True, True, True, False])
    with pytest.raises(StorageFull):
        save(path, Sender([MEGABYTE] * 8), has_room=lambda _: next(asked))
    assert not path.exists()


def test_a_disk_that_is_full_is_told_as_such(path: Path) -> None:
    def has_room(_: int) -> bool:
        raise OSError(errno.ENOSPC, "no space left")

    with pytest.raises(StorageFull):
        save(path, Sender([MEGABYTE]), has_room=has_room)
    assert not path.exists()


def test_a_cancelled_upload_leaves_nothing(path: Path) -> None:
    def there() -> bool:
        return path.exists()

    async def run() -> None:
        request = Request({"type": "http", "headers": []}, Sender([MEGABYTE], "hangs").receive)
        task = asyncio.create_task(
            save_media(request, path, 10_000_000, PATIENCE_SECONDS, PATIENCE_SECONDS, lambda _: True)
        )
        await until_true(there)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert not path.exists()
