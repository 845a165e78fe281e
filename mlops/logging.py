"""Log lines: one JSON object each, with the id of the request, and never media, file names or foreign error texts.

Fields are given by ``extra=``; only plain, short values are written, and bytes show their size alone. Of an error, its
type and the lines it passed are written; its text only where it is one of ours, whose texts never quote an input.
"""

import json
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO

from mlops.settings import LoggingSettings

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request that is served in this context."""

OURS: Final = ("masking", "mlops", "pipelines", "services")
TEXT_CHARACTERS: Final = 300
MESSAGE_CHARACTERS: Final = 2000
FRAMES: Final = 20
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def configure_logging(settings: LoggingSettings, stream: TextIO | None = None) -> None:
    """Send every logger of the process to one stream, standard error unless given."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if settings.format == "json" else TextLines())
    # Libraries describe their input at DEBUG, some byte by byte: that level is for our own loggers alone.
    level = logging.getLevelNamesMapping()[settings.level]
    logging.basicConfig(level=max(level, logging.INFO), handlers=[handler], force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of ASCII JSON."""
        return json.dumps(fields(record), allow_nan=False)


class TextLines(logging.Formatter):
    """The same fields for human eyes."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, an error's frames below it."""
        told = fields(record)
        head = f"{told.pop('time')[11:19]} {told.pop('level'):7} {told.pop('logger')}: {told.pop('message')}"
        frames = told.pop("frames", [])
        rest = "".join(f" {name}={value}" for name, value in told.items())
        return _one_line(head + rest) + "".join(f"\n    {_one_line(frame)}" for frame in frames)


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what may be written of a record."""
    told: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname,
        "logger": record.name,
        "message": _message(record)[:MESSAGE_CHARACTERS],
    }
    identity = request_id.get()
    if identity is not None:
        told["request_id"] = identity
    told |= {name: _plain(value) for name, value in vars(record).items() if name not in _STANDARD}
    if record.exc_info and record.exc_info[1] is not None:
        told |= _error(record.exc_info[1])
    return told


def _message(record: logging.LogRecord) -> str:
    text, args = str(record.msg), record.args
    if not args:
        return text
    try:
        if isinstance(args, Mapping):
            named = {name: _plain(value) for name, value in args.items()}
            return text % (named if "%(" in text else "<dict>")
        return text % tuple(_plain(value) for value in args)
    except (TypeError, ValueError, KeyError):
        # ``%d`` with something that is now a description: the bare text still tells where it came from.
        return text


def _plain(value: object) -> str | int | float | bool | None:
    """Return ``value`` if it is plain, else what can be said of it without showing it."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    if isinstance(value, str):
        return value[:TEXT_CHARACTERS]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, BaseException):
        return _text(value)
    return f"<{type(value).__name__}>"


def _text(error: BaseException) -> str:
    ours = type(error).__module__.split(".")[0] in OURS
    return f"{type(error).__name__}: {error}"[:TEXT_CHARACTERS] if ours else type(error).__name__


def _error(error: BaseException) -> dict[str, Any]:
    return {"error": " < ".join(_text(link) for link in _chain(error)), "frames": _frames(error.__traceback__)}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _frames(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")
