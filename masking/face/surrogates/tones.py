"""Skin tone, kept only where it was asked for: one of three bins, read once for each face."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.face.region import Placed
from masking.face.surrogates.scenery import rgb_of
from masking.types import Pixels

TONES: Final = ("light", "medium", "dark")
"""The bins, by number."""
_LIMITS: Final = (150.0, 95.0)
_SAMPLES: Final = 64
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_MOST: Final = 4096
"""Faces of one stream whose tones are remembered; a stream may go on for ever."""


class ToneKeeper:
    """Tells the tone of the faces of one file or stream; a face keeps the one that was read first.

    Read anew in every frame, a face in changing light would turn from one person into another and back.
    """

    def __init__(self) -> None:
        self._read: dict[int, int] = {}

    def told(self, face: Placed, patch: Pixels) -> Placed:
        """Give the face with its tone.

        Args:
            face: The face; its ``draw`` says which one it is.
            patch: The patch that it lies in, as a `Masker` gets it.
        """
        if face.draw not in self._read:
            if len(self._read) >= _MOST:
                del self._read[next(iter(self._read))]
            self._read[face.draw] = skin_tone(rgb_of(patch), face)
        return replace(face, tone=self._read[face.draw])


def skin_tone(rgb: NDArray[np.uint8], face: Placed) -> int:
    """Say how bright the middle of a face is in a patch (h, w, 3) uint8: a number of a bin in `TONES`."""
    rows, columns = _box(face, rgb.shape)
    luma = float(np.median(rgb[rows, columns].astype(np.float32) @ _LUMA))
    return sum(luma < limit for limit in _LIMITS)


def _box(face: Placed, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The inner part of the box in the patch, every so many pixels; at least one."""
    x1, y1, x2, y2 = (float(value) for value in face.box)
    spans = []
    for low, high, limit in ((y1, y2, shape[0]), (x1, x2, shape[1])):
        inset = 0.12 * (high - low)
        first = min(max(int(low + inset), 0), limit - 1)
        last = max(min(int(high - inset), limit), first + 1)
        spans.append(slice(first, last, max(1, (last - first) // _SAMPLES)))
    return spans[0], spans[1]
