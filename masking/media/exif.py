"""The one thing that EXIF is read for: which way up the picture is."""

import struct
from typing import Final

import cv2

from masking.types import Pixels

ORIENTATION_TAG: Final = 0x0112
_SHORT: Final = 3
_PREFIX: Final = b"Exif\0\0"


def orientation(exif: bytes) -> int:
    """Read the orientation of an EXIF block.

    Args:
        exif: a TIFF structure, with or without the ``Exif`` prefix of JPEG.

    Returns:
        1 to 8 (EXIF 2.32, tag 274); 1 where the block has none or cannot be read, which is how viewers take it.
    """
    tiff = exif.removeprefix(_PREFIX)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, values, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == ORIENTATION_TAG:
                return value if (kind, values) == (_SHORT, 1) and 1 <= value <= 8 else 1
    except struct.error:
        pass  # the directory ends early
    return 1


def upright(pixels: Pixels, turn: int) -> Pixels:
    """Turn a picture as EXIF orientation ``turn`` (1 to 8) asks, so that row 0 is its visible top.

    Args:
        pixels: (h, w) or (h, w, c), uint8 or uint16.
        turn: the orientation, 5 to 8 of which swap height and width.
    """
    if turn == 1:
        return pixels
    if turn >= 5:
        pixels = cv2.transpose(pixels)  # type: ignore[assignment]
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(turn)
    return pixels if flip is None else cv2.flip(pixels, flip)  # type: ignore[return-value]
