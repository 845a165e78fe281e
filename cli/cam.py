"""`masker cam`: a camera in, masked frames out; whatever fails, the frame is black, never the raw one."""

import importlib
import json
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import typer

from cli.faults import NotInstalledError, UsageError, words
from cli.outcome import Exit
from cli.tell import printable

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

QUALITY: Final = 90
SERVER_SECONDS: Final = 5.0
TOLD_EVERY: Final = 30
CAMERA: Final = "camera"
_BLACK_SIZE: Final = (640, 360)

Mask = Callable[[bytes], tuple[bytes, float, str]]
"""Takes a frame as JPEG; gives the frame to show, the milliseconds that masking took, and why it is black, if it is."""
Show = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Live:
    """The options of ``masker cam`` as they were given; see its help."""

    device: int = 0
    source: Path | None = None
    server: str | None = None
    output: str = CAMERA
    style: str | None = None
    threshold: float | None = None
    frames: int | None = None


def stream(live: Live) -> Exit:
    """Mask what the camera sees until it ends.

    Raises:
        BadParameter: It cannot be done as asked.
    """
    from masking.errors import MaskingError, PolicyError
    from mlops.layers import InvalidSettings

    try:
        with ExitStack() as stack:
            frames = _frames(live)
            mask = stack.enter_context(_remote(live) if live.server else _local(live))
            show = stack.enter_context(_camera() if live.output == CAMERA else _file(live.output))
            _run(frames, mask, show)
    except (UsageError, PolicyError) as error:
        raise typer.BadParameter(str(error)) from error
    except (NotInstalledError, InvalidSettings, MaskingError, OSError) as error:
        typer.echo(f"masker: {printable(words(error))}", err=True)
        return Exit.ERROR
    return Exit.DONE


def _run(frames: Iterator[bytes], mask: Mask, show: Show) -> None:
    """Send each frame through; tell now and then how long that takes, and every new fault at once."""
    recent: deque[tuple[float, float]] = deque(maxlen=TOLD_EVERY)
    last, black, count = "", 0, 0
    for count, jpeg in enumerate(frames, start=1):
        start = time.perf_counter()
        shown, milliseconds, fault = mask(jpeg)
        recent.append((1000 * (time.perf_counter() - start), milliseconds))
        show(shown)
        black += bool(fault)
        if fault and fault != last:
            typer.echo(f"black frame: {printable(fault)}", err=True)
        last = fault
        if count % TOLD_EVERY == 0:
            _tell_pace(count, recent)
    if count % TOLD_EVERY:
        _tell_pace(count, recent)
    typer.echo(f"ended; {black} of {count} frames were black", err=True)


def _tell_pace(count: int, recent: Collection[tuple[float, float]]) -> None:
    """Tell the medians of the last frames: all of the time, and masking's part of it."""
    whole, masking = (statistics.median(each) for each in zip(*recent, strict=True))
    typer.echo(f"{count} frames: {whole:.1f} ms each, {masking:.1f} ms of it masking", err=True)


def _frames(live: Live) -> Iterator[bytes]:
    """Yield the frames of the camera or file as JPEG.

    Raises:
        UsageError: It cannot be opened.
    """
    import cv2

    # What OpenCV warns of where there is no camera is said below in words of our own.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(str(live.source)) if live.source is not None else cv2.VideoCapture(live.device)
    if not capture.isOpened():
        raise UsageError(f"{live.source or f'camera {live.device}'} cannot be opened")

    def read() -> Iterator[bytes]:
        count = 0
        try:
            while live.frames is None or count < live.frames:
                there, pixels = capture.read()
                if not there:
                    return
                count += 1
                yield cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        finally:
            capture.release()

    return read()


@contextmanager
def _local(live: Live) -> Iterator[Mask]:
    """Mask in this process."""
    from cli.engine import cores, start_engine
    from masking.live import LiveMasker
    from masking.policy import Policy
    from mlops.settings import load_settings

    defaults = load_settings().masking
    threshold = defaults.threshold if live.threshold is None else live.threshold
    policy = Policy(live.style or defaults.style, threshold, "fast")
    engine = start_engine(threads=cores())
    masker = LiveMasker(policy, engine.model.detector, engine.images, engine.model.maskers)

    def mask(jpeg: bytes) -> tuple[bytes, float, str]:
        answer = masker.mask(jpeg)
        return answer.jpeg, answer.milliseconds, answer.fault

    yield mask


@contextmanager
def _remote(live: Live) -> Iterator[Mask]:
    """Mask on a server; once it fails, every frame that follows is black.

    Raises:
        ConnectionError: The server cannot be reached.
        UsageError: It does not take the stream.
    """
    from websockets.exceptions import ConnectionClosed, WebSocketException

    socket = _connected(live)
    broken, answered = "", False

    def mask(jpeg: bytes) -> tuple[bytes, float, str]:
        nonlocal broken, answered
        if broken:
            return _black(), 0.0, broken
        try:
            socket.send(jpeg)
            told = json.loads(socket.recv(SERVER_SECONDS))
            shown = socket.recv(SERVER_SECONDS)
            if isinstance(shown, bytes):
                answered = True
                return shown, float(told["milliseconds"]), str(told["fault"])
            broken = "the server answers nonsense"
        except ConnectionClosed as error:
            reason = error.rcvd.reason if error.rcvd else ""
            if reason and not answered:
                # Such as a style that the server does not have: there never was a stream.
                raise UsageError(f"{live.server} does not take the stream: {reason}") from error
            broken = f"the server is gone ({reason or type(error).__name__})"
        except (WebSocketException, OSError, ValueError, KeyError, TypeError) as error:
            broken = f"the server is gone ({type(error).__name__})"
        return _black(), 0.0, broken

    with socket:
        yield mask


def _connected(live: Live) -> "ClientConnection":
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    wishes = {"style": live.style, "threshold": live.threshold}
    query = urlencode({name: value for name, value in wishes.items() if value is not None})
    try:
        return connect(f"{live.server}{'?' if query else ''}{query}", open_timeout=SERVER_SECONDS, max_size=1 << 26)
    except (WebSocketException, ValueError) as error:
        raise UsageError(f"{live.server} does not take a stream ({type(error).__name__})") from error
    except OSError as error:
        raise ConnectionError(f"{live.server} cannot be reached: {words(error)}") from error


@contextmanager
def _file(output: str) -> Iterator[Show]:
    """Show as motion JPEG, one picture behind the other, in a file or on standard output."""
    if output == "-":
        yield lambda jpeg: _write(sys.stdout.buffer, jpeg)
        return
    with Path(output).open("xb") as target:
        try:
            yield lambda jpeg: _write(target, jpeg)
        finally:
            if not target.tell():  # nothing was shown, and an empty file would stand in the way of the next try
                Path(output).unlink()


def _write(target: Any, jpeg: bytes) -> None:  # noqa: ANN401  # whatever has write and flush
    target.write(jpeg)
    target.flush()


@contextmanager
def _camera() -> Iterator[Show]:
    """Show on a virtual camera, where the system has one and the package that reaches it is installed."""
    import cv2
    import numpy as np

    try:
        virtual = importlib.import_module("pyvirtualcam")
    except ImportError as error:
        raise UsageError(
            "a virtual camera needs the package pyvirtualcam and a driver of the system (Linux: v4l2loopback);"
            " without them give --output FILE, or - for motion JPEG on standard output"
        ) from error
    opened: Any = None

    def show(jpeg: bytes) -> None:
        nonlocal opened
        pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            return
        height, width = pixels.shape[:2]
        if opened is None:
            opened = virtual.Camera(width=width, height=height, fps=30)
        opened.send(cv2.cvtColor(cv2.resize(pixels, (opened.width, opened.height)), cv2.COLOR_BGR2RGB))

    try:
        yield show
    except RuntimeError as error:
        raise UsageError("the system has no virtual camera that can be used") from error
    finally:
        if opened is not None:
            opened.close()


def _black() -> bytes:
    import cv2
    import numpy as np

    return cv2.imencode(".jpg", np.zeros((_BLACK_SIZE[1], _BLACK_SIZE[0], 3), np.uint8))[1].tobytes()
