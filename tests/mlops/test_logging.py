import io
import json
import logging
from collections.abc import Iterator

import numpy as np
import pytest

from masking.errors import DamagedMedia
from mlops.logging import OURS, configure_logging, request_id
from mlops.settings import LoggingSettings


def configure(stream: io.StringIO, **others: str) -> None:
    """Have what this file logs written there; whatever a thread that another test left logs meanwhile is not."""
    given = {"level": "INFO", "format": "json", "access_lines": 10}
    configure_logging(LoggingSettings(**given | others), stream)  # type: ignore[arg-type]
    (handler,) = logging.getLogger().handlers
    handler.addFilter(lambda record: record.pathname == __file__)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged as JSON while a test runs; pytest's own handlers come back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # Those that are there would be closed for good; without them records of other threads have no text for a moment.
    root.handlers.clear()
    stream = io.StringIO()
    configure(stream)
    yield stream
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.NOTSET)


def only(stream: io.StringIO) -> dict[str, object]:
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.isascii()
    line: dict[str, object] = json.loads(text)
    return line


def test_a_line_has_time_level_logger_message_and_fields(lines: io.StringIO) -> None:
    logging.getLogger("some.part").info("model %s loaded", "7", extra={"precision": "int8", "seconds": 0.25})
    line = only(lines)
    assert line.pop("time")
    assert line == {
        "level": "INFO",
        "logger": "some.part",
        "message": "model 7 loaded",
        "precision": "int8",
        "seconds": 0.25,
    }


def test_a_line_has_the_id_of_its_request(lines: io.StringIO) -> None:
    token = request_id.set("abc")
    logging.getLogger().info("hello")
    request_id.reset(token)
    assert only(lines)["request_id"] == "abc"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (b"secret media", "<12 bytes>"),
        (bytearray(b"secret media"), "<12 bytes>"),
        (np.full((2, 2), 7, np.uint8), "<ndarray>"),
        ({"secret": 1}, "<dict>"),
        (float("nan"), "nan"),
        ("x" * 5000, "x" * 300),
        (None, None),
        (True, True),
    ],
)
def test_only_plain_values_are_written(lines: io.StringIO, value: object, written: object) -> None:
    logging.getLogger().info("got %s", value, extra={"field": value})
    line = only(lines)
    assert line["field"] == written
    assert line["message"] == f"got {written}"


def test_named_arguments_are_made_plain_too(lines: io.StringIO) -> None:
    logging.getLogger().info("got %(data)s", {"data": b"secret"})
    assert only(lines)["message"] == "got <6 bytes>"


def test_arguments_that_no_longer_fit_leave_the_bare_text(lines: io.StringIO) -> None:
    logging.getLogger().info("got %d", np.int64(7))
    assert only(lines)["message"] == "got %d"


def test_a_line_break_cannot_forge_a_line(lines: io.StringIO) -> None:
    logging.getLogger().info('one\n{"level": "INFO"}')
    assert only(lines)["message"] == 'one\n{"level": "INFO"}'


def test_the_text_of_a_foreign_error_is_not_written(lines: io.StringIO) -> None:
    def fails() -> None:
        try:
            raise ValueError("cannot open holiday.jpg")
        except ValueError as error:
            raise DamagedMedia("the scan ends early") from error

    try:
        fails()
    except DamagedMedia:
        logging.getLogger().exception("failed")
    line = only(lines)
    assert line["error"] == "DamagedMedia: the scan ends early < ValueError"
    assert "fails" in str(line["frames"])
    assert "holiday" not in lines.getvalue()


def test_below_the_level_nothing_is_written(lines: io.StringIO) -> None:
    logging.getLogger().debug("no")
    assert lines.getvalue() == ""


def test_libraries_never_write_at_debug(lines: io.StringIO) -> None:
    configure(lines, level="DEBUG")
    logging.getLogger("python_multipart.multipart").debug("got byte 0x2d")
    assert lines.getvalue() == ""
    logging.getLogger("services.serving").debug("looked for a new champion")
    assert only(lines)["level"] == "DEBUG"


def test_text_is_one_line_for_human_eyes(lines: io.StringIO) -> None:
    configure(lines, format="text")
    logging.getLogger("part").warning("hello\nworld", extra={"data": b"abc"})
    assert lines.getvalue().endswith("WARNING part: hello\\nworld data=<3 bytes>\n")
    assert lines.getvalue().count("\n") == 1
