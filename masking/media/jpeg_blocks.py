"""JPEG with only the masked MCUs coded anew: every other block keeps the coefficients that the original gave it.

An MCU (T.81, A.2) is the smallest area that all components share: 8 x 8 pixels times the largest sampling factors.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from masking.errors import DamagedMedia
from masking.media import jpeg_coefficients as coefficients
from masking.media.jpeg_coefficients import Coefficients, Tables
from masking.media.jpeg_segments import (
    Frame,
    Segment,
    huffman,
    is_bare,
    read_frame,
    read_tables,
    tables_change,
    walk,
    with_profile,
    without_metadata,
)
from masking.types import Pixels

Cells = NDArray[np.intp]
"""(n, 2) row and column of MCUs."""

_AT_ONCE: Final = 4096  # MCUs, which bounds the memory of the transform
_YCC: Final = np.array(  # T.871, section 7; 128 is left out of Cb and Cr, as the transform wants them about zero
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]], np.float32
)
_LUMA: Final = _YCC[0]
_K: Final = np.arange(8)
_DCT: Final = (
    np.cos((2 * _K[None, :] + 1) * _K[:, None] * np.pi / 16) * np.where(_K[:, None] == 0, np.sqrt(1 / 8), 0.5)
).astype(np.float32)
"""The orthonormal DCT-II of 8 samples (T.81, A.3.3): a block keeps its sum of squares."""
_ROUNDING: Final = 1.5
"""What a decoder may add to a pixel: 1 by its integer transform, one half by rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A JPEG file whose blocks can be kept.

    Attributes:
        data: the file without metadata, which was decoded strictly.
        frame: its header.
        tables: its quantisation tables by number.
        rgb: its components are R, G and B.
        optimized: its Huffman tables were made for it, or so it seems.
    """

    data: bytes
    frame: Frame
    tables: Tables
    rgb: bool
    optimized: bool


def stored(data: bytes, segments: Sequence[Segment], frame: Frame, *, rgb: bool) -> Stored | None:
    """Take a file that was decoded strictly, or None where its blocks cannot be kept.

    They cannot with four components, with luma that is sampled more coarsely than another component or by no whole
    number, or with quantisation tables that hold a zero or change between scans.
    """
    tables = read_tables(data, segments)
    if len(frame.components) == 4 or tables_change(segments) or not _even(frame, rgb=rgb):
        return None
    if any(min(tables[component.table]) == 0 for component in frame.components):
        return None
    optimized = not huffman(data, segments) <= coefficients.usual_huffman()
    return Stored(without_metadata(data, segments), frame, tables, rgb, optimized)


def _even(frame: Frame, *, rgb: bool) -> bool:
    """Tell whether components have ids of their own and are thinned by whole numbers, luma and R, G, B not at all."""
    factors = [component.sampling for component in frame.components]
    if not all(1 <= factor <= 4 for pair in factors for factor in pair):
        return False
    if len({component.identity for component in frame.components}) < len(factors):
        return False  # libjpeg, which the header goes to, gives up
    across, down = largest = coefficients.sampling(frame)
    full = set(factors) == {largest} if rgb else factors[0] == largest
    return full and all(across % h == 0 and down % v == 0 for h, v in factors)


def encode(stored: Stored, pixels: Pixels, touched: NDArray[np.bool_], icc: bytes | None) -> bytes | None:
    """Code the MCUs with touched pixels anew, keep all others, and look whether the result shows what it should.

    Args:
        stored: the original.
        pixels: (h, w) or (h, w, 3) uint8, those of the original except where touched.
        touched: (h, w) bool, pixels that may differ from the original.
        icc: the profile to embed.

    Returns:
        The file, or None where the coefficients are out of range or the result did not stand the check.
    """
    planes = coefficients.read(stored.data, stored.frame)
    if planes is None:
        return None
    cells = cells_of(touched, stored.frame)
    for part in _parts(cells):
        _put(planes, _samples(pixels, part, stored), part, stored)
    if not coefficients.writable(stored.frame, planes):
        return None
    written = coefficients.write(planes, stored.frame, stored.tables, rgb=stored.rgb, optimize=stored.optimized)
    if written is None or not shows(written, pixels, cells, stored):
        return None
    return with_profile(written, icc)


def mcu(frame: Frame) -> tuple[int, int]:
    """Width and height of an MCU in pixels; that of a grey picture is one block (T.81, A.2.2)."""
    if len(frame.components) == 1:
        return 8, 8
    across, down = coefficients.sampling(frame)
    return 8 * across, 8 * down


def cells_of(touched: NDArray[np.bool_], frame: Frame) -> Cells:
    """The MCUs that hold a touched pixel."""
    wide, tall = mcu(frame)
    rows = np.flatnonzero(touched.any(axis=1))
    if not rows.size:
        return np.empty((0, 2), np.intp)
    above = rows[0] // tall  # most pictures are touched in few rows, and looking at all takes long
    part = touched[above * tall : rows[-1] + 1]
    bands = np.logical_or.reduceat(part, np.arange(0, part.shape[0], tall), axis=0)
    cells = np.argwhere(np.logical_or.reduceat(bands, np.arange(0, part.shape[1], wide), axis=1))
    cells[:, 0] += above
    return cells


def _parts(cells: Cells) -> Iterator[Cells]:
    for start in range(0, len(cells), _AT_ONCE):
        yield cells[start : start + _AT_ONCE]


def _gather(pixels: NDArray[np.uint8], cells: Cells, frame: Frame) -> NDArray[np.float32]:
    """(n, tall, wide[, 3]) float32 of each MCU; beyond the edge, the last row and column go on."""
    wide, tall = mcu(frame)
    rows = np.minimum(cells[:, :1] * tall + np.arange(tall), pixels.shape[0] - 1)
    columns = np.minimum(cells[:, 1:] * wide + np.arange(wide), pixels.shape[1] - 1)
    patches: NDArray[np.float32] = pixels[rows[:, :, None], columns[:, None, :]].astype(np.float32)
    return patches


def _samples(pixels: Pixels, cells: Cells, stored: Stored) -> list[NDArray[np.float32]]:
    """Of each component, (n, tall, wide) samples about zero at full size."""
    patches = _gather(cast(NDArray[np.uint8], pixels), cells, stored.frame)
    if patches.ndim == 3:
        return [patches - 128]
    if not stored.rgb:
        patches = patches @ _YCC.T
        patches[..., 0] -= 128
    else:
        patches -= 128
    return [patches[..., channel] for channel in range(3)]


def _put(planes: list[Coefficients], samples: list[NDArray[np.float32]], cells: Cells, stored: Stored) -> None:
    """Transform, quantise and place the blocks of these MCUs; those beyond the last block of a plane are left out."""
    across, down = coefficients.sampling(stored.frame)
    for plane, full, component in zip(planes, samples, stored.frame.components, strict=True):
        h, v = component.sampling if len(planes) > 1 else (1, 1)
        thin_x, thin_y = (across // h, down // v) if len(planes) > 1 else (1, 1)
        # Chroma is thinned to the mean of the pixels that share a sample, as encoders do.
        small = full.reshape(len(cells), 8 * v, thin_y, 8 * h, thin_x).mean(axis=(2, 4))
        blocks = small.reshape(len(cells), v, 8, h, 8).transpose(0, 1, 3, 2, 4)
        table = np.array(stored.tables[component.table], np.float32).reshape(8, 8)
        values = np.rint(_DCT @ blocks @ _DCT.T / table).astype(np.int16).reshape(-1, 64)
        rows = np.broadcast_to((cells[:, 0, None] * v + np.arange(v))[:, :, None], (len(cells), v, h)).ravel()
        columns = np.broadcast_to((cells[:, 1, None] * h + np.arange(h))[:, None, :], (len(cells), v, h)).ravel()
        inside = (rows < plane.shape[0]) & (columns < plane.shape[1])
        plane[rows[inside], columns[inside]] = values[inside]


def shows(written: bytes, pixels: Pixels, cells: Cells, stored: Stored) -> bool:
    """Tell whether the file holds the picture and nothing else, and shows ``pixels`` in the MCUs coded anew.

    Another decoder reads its brightness. By Parseval, a block cannot differ from what was coded by more than half a
    quantisation step in each coefficient, taken together as a root of squares, and what decoders round.
    """
    try:
        segments = list(walk(written))
        frame, tables = read_frame(written, segments), read_tables(written, segments)
        shown = simplejpeg.decode_jpeg(written, "GRAY", fastdct=False, strict=True)[..., 0]
    except (DamagedMedia, ValueError, RuntimeError):
        return False
    same = frame == stored.frame and all(tables[c.table] == stored.tables[c.table] for c in frame.components)
    return same and is_bare(written, segments) and all(_agree(shown, pixels, p, stored) for p in _parts(cells))


def _agree(shown: NDArray[np.uint8], pixels: Pixels, cells: Cells, stored: Stored) -> bool:
    wide, tall = mcu(stored.frame)
    wanted = _gather(cast(NDArray[np.uint8], pixels), cells, stored.frame)
    error = _gather(shown, cells, stored.frame) - (wanted if wanted.ndim == 3 else wanted @ _LUMA)
    # What lies beyond the edge is not shown.
    error *= (cells[:, :1] * tall + np.arange(tall) < shown.shape[0])[:, :, None]
    error *= (cells[:, 1:] * wide + np.arange(wide) < shown.shape[1])[:, None, :]
    squares = (error**2).reshape(len(cells), tall // 8, 8, wide // 8, 8).sum(axis=(2, 4))
    steps = [np.linalg.norm(stored.tables[c.table]) / 2 for c in stored.frame.components]
    allowed = float(np.dot(_LUMA, steps)) if stored.rgb else float(steps[0])
    return bool((np.sqrt(squares) <= allowed + 8 * _ROUNDING).all())
