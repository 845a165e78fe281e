"""The quantised DCT coefficients of a JPEG file, read and written as they are, by the libjpeg builds of jpeglib.

jpeglib's Python layer is passed by: it decodes every file once more, goes through named files on disk and has one
library for the whole process. Its C functions hold no state between calls and let other threads run. What they do not
survive is an error inside libjpeg, which ends the process. So only a file that was decoded strictly before may be
read here, and `writable` says what may be written.
"""

import ctypes
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.media.jpeg_segments import ADOBE_RGB, JFIF, ZIGZAG, Component, Frame, huffman, walk

Coefficients = NDArray[np.int16]
"""(rows, columns, 64) int16 of one component: its blocks, each of 64 quantised values in natural order."""

Tables = Mapping[int, Sequence[int]]

_SEQUENTIAL: Final = "turbo210"
_PROGRESSIVE: Final = "mozjpeg403"  # the only builds here that write progressive files from coefficients
_GREY, _RGB, _YCC = 1, 2, 3  # J_COLOR_SPACE of jpeglib.h
_OPTIMIZE_CODING: Final = 1 << 6  # the bit in jpeglib's mask of flags
_MOST_BLOCKS_IN_MCU: Final = 10  # T.81, B.2.3: the sum of h * v over the components of an interleaved scan
_MOST_AC, _LEAST_DC = 1023, -1024  # T.81, F.1.2: what pictures of 8 bits can have


def grid(frame: Frame) -> list[tuple[int, int]]:
    """Rows and columns of blocks of each component, without those that only fill up an MCU (T.81, A.1.1 and A.2.4)."""
    across, down = sampling(frame)
    return [
        (-(-frame.height * v // (8 * down)), -(-frame.width * h // (8 * across)))
        for h, v in (component.sampling for component in frame.components)
    ]


def sampling(frame: Frame) -> tuple[int, int]:
    """The largest horizontal and vertical sampling factor of all components."""
    factors = [component.sampling for component in frame.components]
    return max(h for h, _ in factors), max(v for _, v in factors)


def writable(frame: Frame, planes: Sequence[Coefficients]) -> bool:
    """Tell whether `write` can code these planes: baseline range, and an MCU no larger than a scan may have."""
    if len(planes) > 1 and sum(h * v for h, v in (c.sampling for c in frame.components)) > _MOST_BLOCKS_IN_MCU:
        return False
    if [plane.shape for plane in planes] != [(*blocks, 64) for blocks in grid(frame)]:
        return False
    return all(plane.max() <= _MOST_AC and plane.min() >= _LEAST_DC for plane in planes) and all(
        plane[..., 1:].min(initial=0) > _LEAST_DC for plane in planes if plane.min() == _LEAST_DC
    )


def read(data: bytes, frame: Frame) -> list[Coefficients] | None:
    """Read the coefficients of every component, or None where libjpeg does not give them.

    Args:
        data: a file that was decoded strictly before, with ``frame`` as its header.
        frame: its header.
    """
    planes = [np.empty((*blocks, 64), np.int16) for blocks in grid(frame)]
    with _file(data) as path:
        status = _library(_SEQUENTIAL).read_jpeg_dct(os.fsencode(path), *_pointers(planes), None, None)
    return planes if status == 1 else None


def write(
    planes: Sequence[Coefficients], frame: Frame, tables: Tables, *, rgb: bool, optimize: bool = True
) -> bytes | None:
    """Write coefficients as a file with a bare header and without restart markers.

    Args:
        planes: for which `writable` holds.
        frame: size, sampling, ids and numbers of tables; progressive or not.
        tables: of each number that the frame names, 64 values in natural order.
        rgb: three components are R, G and B.
        optimize: Huffman tables are made to measure; a sequential file may have those of T.81, annex K.3, instead.

    Returns:
        The file, or None where libjpeg does not give it.
    """
    library = _library(_PROGRESSIVE if frame.progressive else _SEQUENTIAL)
    space = _GREY if len(planes) == 1 else _RGB if rgb else _YCC
    blocks = [side for plane in planes for side in plane.shape[:2]]
    factors = [factor for component in frame.components for factor in component.sampling[::-1]]
    with _file(_blank(frame, tables, rgb=rgb)) as source, _file(b"") as target:
        status = library.write_jpeg_dct(
            os.fsencode(source),
            os.fsencode(target),
            *_pointers([np.ascontiguousarray(plane) for plane in planes]),
            (ctypes.c_int * 2)(frame.height, frame.width),
            (ctypes.c_int * 8)(*blocks),
            (ctypes.c_int * 8)(*factors),
            ctypes.c_int(space),
            ctypes.c_int(len(planes)),
            None,  # the tables are those of the source
            ctypes.c_short(-1),
            None,
            ctypes.c_int(0),
            None,
            None,
            None,
            ctypes.c_uint(_OPTIMIZE_CODING if optimize else 0),
            ctypes.c_uint(_OPTIMIZE_CODING),
        )
        return target.read_bytes() if status == 1 else None


@cache
def usual_huffman() -> frozenset[bytes]:
    """The Huffman tables of T.81, annex K.3, each as its segment holds it: those of a file that was not optimised."""
    frame = Frame(8, 8, False, tuple(Component(identity, (1, 1), 0) for identity in (1, 2, 3)))
    planes = [np.zeros((1, 1, 64), np.int16)] * 3
    data = write(planes, frame, {0: [1] * 64}, rgb=False, optimize=False)
    return frozenset() if data is None else huffman(data, walk(data))


def _blank(frame: Frame, tables: Tables, *, rgb: bool) -> bytes:
    """A file with the wanted header and every coefficient zero, which is what the writer takes its settings from.

    The Huffman tables have one code of one bit: for no difference in DC, and for the end of the block.
    """
    wide = any(max(tables[component.table]) > 255 for component in frame.components)
    parts = [b"\xff\xd8", ADOBE_RGB if rgb else JFIF]
    for number in sorted({component.table for component in frame.components}):
        values = [tables[number][i] for i in ZIGZAG]
        body = struct.pack(">64H", *values) if wide else bytes(values)
        parts.append(struct.pack(">HHB", 0xFFDB, 3 + len(body), number | (16 if wide else 0)) + body)
    count = len(frame.components)
    parts.append(struct.pack(">HHBHHB", 0xFFC1 if wide else 0xFFC0, 8 + 3 * count, 8, frame.height, frame.width, count))
    parts += [bytes((c.identity, c.sampling[0] << 4 | c.sampling[1], c.table)) for c in frame.components]
    parts += [struct.pack(">HHB16BB", 0xFFC4, 20, kind, 1, *[0] * 15, 0) for kind in (0x00, 0x10)]
    parts.append(struct.pack(">HHB", 0xFFDA, 6 + 2 * count, count))
    parts += [bytes((c.identity, 0)) for c in frame.components]
    across, down = (1, 1) if count == 1 else sampling(frame)
    mcus = -(-frame.width // (8 * across)) * -(-frame.height // (8 * down))
    in_mcu = 1 if count == 1 else sum(h * v for h, v in (c.sampling for c in frame.components))
    return b"".join([*parts, b"\0\x3f\0", bytes(-(-2 * in_mcu * mcus // 8)), b"\xff\xd9"])


def _pointers(planes: Sequence[Coefficients]) -> list[ctypes.c_void_p | None]:
    found: list[ctypes.c_void_p | None] = [plane.ctypes.data_as(ctypes.c_void_p) for plane in planes]
    return found + [None] * (4 - len(found))


@cache
def _library(version: str) -> ctypes.CDLL:
    spec = find_spec("jpeglib")
    if spec is None or spec.origin is None:
        raise ImportError("jpeglib is not installed")
    return ctypes.CDLL(str(next(Path(spec.origin).parent.glob(f"cjpeglib/cjpeglib_{version}.*"))))


@contextmanager
def _file(data: bytes) -> Iterator[Path]:
    """A file with these bytes that only this process can name; gone afterwards.

    It lies in memory where the system can do so: an unmasked picture must not reach a disk.
    """
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("jpeg"), "w+b") as file:
            file.write(data)
            file.flush()
            yield Path(f"/proc/self/fd/{file.fileno()}")
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "jpeg")
            path.write_bytes(data)
            yield path
