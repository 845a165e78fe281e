"""A masked answer: what the cache keeps of it, and the headers that go with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from masking.face.loading import LoadedModel
from masking.pipeline import Masked

REPORT_CHARACTERS: Final = 8192
LENGTH_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """A masked image and its report; the only thing of a request that is ever kept.

    Attributes:
        data: The masked image, encoded.
        media_type: Its media type.
        report: What was done, as plain JSON values.
    """

    data: bytes
    media_type: str
    report: Mapping[str, Any]

    @classmethod
    def of(cls, masked: Masked, model: LoadedModel) -> Self:
        """Return the answer made of what the pipeline gives; the report also says which model found the faces."""
        return cls(masked.data, masked.media_type, masked.report.by(model).as_dict())

    @property
    def faces(self) -> int:
        """How many faces are masked."""
        return int(self.report["faces"])

    @property
    def megapixels(self) -> float:
        """How large the image is."""
        return int(self.report["width"]) * int(self.report["height"]) / 1e6

    def pack(self) -> bytes:
        """Return the answer as bytes for the cache: length of the head, head as JSON, image."""
        head = json.dumps({"media_type": self.media_type, "report": self.report}).encode()
        return len(head).to_bytes(LENGTH_BYTES, "big") + head + self.data

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Return the answer that `pack` made bytes of."""
        end = LENGTH_BYTES + int.from_bytes(packed[:LENGTH_BYTES], "big")
        head = json.loads(packed[LENGTH_BYTES:end])
        return cls(packed[end:], head["media_type"], head["report"])


def report_header(report: Mapping[str, Any]) -> str:
    """Return the report as compact ASCII JSON that fits a header.

    One that is too long loses its lists, and says so by ``"truncated": true``.
    """
    text = _compact(report)
    if len(text) <= REPORT_CHARACTERS:
        return text
    short = {name: value for name, value in report.items() if not isinstance(value, list | tuple | dict)}
    return _compact(short | {"truncated": True})


def _compact(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
