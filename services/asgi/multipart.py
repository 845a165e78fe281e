"""A ``multipart/form-data`` body (RFC 7578): one file, and beside it a list of regions; parsed as it arrives."""

from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from services.asgi.errors import BrokenBody

REGIONS_BYTES: Final = 1 << 20
"""Largest list of regions."""
ENVELOPE_BYTES: Final = 16384 + REGIONS_BYTES
"""What boundaries, part headers and a list of regions may take beside the file."""
FILE: Final = b"file"
REGIONS: Final = b"regions"
PARTS: Final = "a multipart body must hold one part named file, and may hold one named regions"


class FileForm:
    """Takes a body chunk by chunk and gives the parts ``file`` and ``regions``; a file name is never looked at.

    Raises:
        BrokenBody: the body is no multipart form, or holds anything but these parts.
    """

    def __init__(self, content_type: str) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise BrokenBody("the multipart boundary is missing")
        self._parts: list[bytes] = []
        self._regions = bytearray()
        self._seen: set[bytes] = set()
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

    def take(self) -> bytes:
        """Return the bytes of the file that have come since the last call, and keep them no longer."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken

    def finish(self) -> bytes:
        """Return the file, or what of it was not taken yet."""
        if not self._ended:
            raise BrokenBody("the multipart body ends early")
        if FILE not in self._seen:
            raise BrokenBody(PARTS)
        return b"".join(self._parts)

    @property
    def regions(self) -> str:
        """The list of regions, empty where there is none.

        Raises:
            BrokenBody: it is no text.
        """
        try:
            return self._regions.decode()
        except UnicodeDecodeError as error:
            raise BrokenBody("the part named regions must be UTF-8 text") from error

    def _begin(self) -> None:
        self._name = None

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name == FILE:
            self._parts.append(data[start:end])
            return
        self._regions += data[start:end]
        if len(self._regions) > REGIONS_BYTES:
            raise BrokenBody(f"a list of regions may have up to {REGIONS_BYTES} bytes")

    def _header_end(self) -> None:
        field, value = self._header
        if field.lower() == b"content-disposition":
            kind, options = parse_options_header(bytes(value))
            self._name = options.get(b"name") if kind == b"form-data" else None
        self._header = (bytearray(), bytearray())

    def _headers_finished(self) -> None:
        if self._name not in (FILE, REGIONS) or self._name in self._seen:
            raise BrokenBody(PARTS)
        self._seen.add(self._name)

    def _end(self) -> None:
        self._ended = True
