"""The one file of a ``multipart/form-data`` body (RFC 7578), parsed as it arrives and held in memory alone."""

from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from services.asgi.errors import BrokenBody

ENVELOPE_BYTES: Final = 16384
"""What boundaries and part headers may take beside the file."""
ONE_FILE: Final = "a multipart body must hold exactly one part, named file"


class FileForm:
    """Takes a body chunk by chunk and keeps the part named ``file``; its file name is never looked at.

    Raises:
        BrokenBody: the body is no multipart form, or holds anything but that one part.
    """

    def __init__(self, content_type: str) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise BrokenBody("the multipart boundary is missing")
        self._parts: list[bytes] = []
        self._count = 0
        self._ended = False
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._name: bytes | None = None
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_part_data": self._data,
                    "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise BrokenBody("the multipart boundary is not valid") from error

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise BrokenBody("the multipart body is malformed") from error

    def finish(self) -> bytes:
        """Return the file."""
        if not self._ended:
            raise BrokenBody("the multipart body ends early")
        if self._count != 1:
            raise BrokenBody(ONE_FILE)
        return b"".join(self._parts)

    def _begin(self) -> None:
        self._count += 1
        self._name = None
        if self._count > 1:
            raise BrokenBody(ONE_FILE)

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._parts.append(data[start:end])

    def _header_end(self) -> None:
        field, value = self._header
        if field.lower() == b"content-disposition":
            kind, options = parse_options_header(bytes(value))
            self._name = options.get(b"name") if kind == b"form-data" else None
        self._header = (bytearray(), bytearray())

    def _headers_finished(self) -> None:
        if self._name != b"file":
            raise BrokenBody(ONE_FILE)

    def _end(self) -> None:
        self._ended = True
