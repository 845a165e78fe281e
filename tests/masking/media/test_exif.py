import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masking.media.exif import orientation, upright


def block(order: str = "<", *, tag: int = 0x0112, kind: int = 3, count: int = 1, value: int = 6) -> bytes:
    magic = b"II*\0" if order == "<" else b"MM\0*"
    first = struct.pack(f"{order}HHIHH", 0x010F, 2, 1, 0, 0)
    return magic + struct.pack(f"{order}IH", 8, 2) + first + struct.pack(f"{order}HHIHH", tag, kind, count, value, 0)


@pytest.mark.parametrize(
    ("exif", "expected"),
    [
        (block("<"), 6),
        (block(">"), 6),
        (b"Exif\0\0" + block(">", value=8), 8),
        (block(value=0), 1),
        (block(value=9), 1),
        (block(kind=4), 1),
        (block(count=2), 1),
        (block(tag=0x0113), 1),
        (block()[:-6], 1),
        (block()[:9], 1),
        (b"II*\0" + struct.pack("<I", 0xFFFFFFF0), 1),
        (b"XX*\0" + block()[4:], 1),
        (b"", 1),
    ],
)
def test_orientation_is_read_or_taken_as_upright(exif, expected):
    assert orientation(exif) == expected


@given(st.binary(max_size=60), st.sampled_from([b"", b"II*\0", b"MM\0*", b"Exif\0\0II*\0\x08\0\0\0"]))
def test_any_bytes_give_an_orientation(rest, magic):
    assert 1 <= orientation(magic + rest) <= 8


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 2), (2, 3, 3), (2, 3, 4)])
def test_the_first_pixel_lands_where_the_standard_says(shape, dtype):
    # EXIF 2.32, tag 274: where row 0 and column 0 of the stored picture are on the visible one.
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    stored = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    for turn, (row, column) in corner.items():
        shown = upright(stored, turn)
        assert shown.shape[:2] == ((2, 3) if turn < 5 else (3, 2))
        assert shown.dtype == dtype
        np.testing.assert_array_equal(shown[row, column], stored[0, 0])
        beside = (row, column + (1 if column == 0 else -1)) if turn < 5 else (row + (1 if row == 0 else -1), column)
        np.testing.assert_array_equal(shown[beside], stored[0, 1])
