"""Between the samples of a decoder or an encoder and float32 in [-1, 1], one column a channel."""

from fractions import Fraction
from typing import Final

import numpy as np
from av import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

Block = NDArray[np.float32]
"""(n, channels) float32 in [-1, 1]: samples of sound, a column a channel."""

_BITS: Final = {"u8": 8, "s16": 16, "s32": 32}
SAMPLE_TYPES: Final = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}


_MOST_PLANES: Final = 7


class Unplanar:
    """Lays the channels of planar frames side by side where PyAV cannot tell the planes apart: from 8 channels on.

    It counts the planes of a frame up to a null pointer, which FFmpeg does not put behind the eighth.
    """

    def __init__(self) -> None:
        self._packer: AudioResampler | None = None

    def __call__(self, frame: AudioFrame) -> list[AudioFrame]:
        """Give the frame as it is, or its samples in packed frames."""
        if not frame.format.is_planar or frame.layout.nb_channels <= _MOST_PLANES:
            return [frame]
        if self._packer is None:
            self._packer = AudioResampler(frame.format.packed.name, frame.layout.name, frame.sample_rate)
        return self._packer.resample(frame)


def laid_out(sample_format: str, channels: int) -> str:
    """Name the format in which samples are given to an encoder that takes ``sample_format``; see ``Unplanar``."""
    return sample_format if channels <= _MOST_PLANES else sample_format.removesuffix("p")


def from_frame(frame: AudioFrame) -> tuple[Block, bool]:
    """Read a decoded frame.

    Returns:
        (n, channels) samples, full scale 1, not clipped; and whether they are whole numbers in the file, which cannot
        be out of range.
    """
    name = frame.format.packed.name
    samples = frame.to_ndarray()
    channels = frame.layout.nb_channels
    columns = samples.T if frame.format.is_planar else samples.reshape(-1, channels)
    if name not in _BITS:
        return columns.astype(np.float32), False
    scale = 2.0 ** (_BITS[name] - 1)
    offset = scale if name == "u8" else 0.0
    return ((columns.astype(np.float64) - offset) / scale).astype(np.float32), True


def finite(frame: AudioFrame, exact: bool) -> tuple[Block, tuple[str, ...]]:
    """Read a decoded frame as (n, channels) samples in [-1, 1]: no number becomes 0, and what is out of range clipped.

    Returns:
        The samples, and notes of what was changed. Samples out of range are noted only where the file keeps ``exact``
        numbers, since a codec's approximation of loud sound is often a little out of range.
    """
    samples, whole = from_frame(frame)
    if whole:
        return samples, ()
    notes = []
    if not np.isfinite(samples).all():
        notes.append("samples_that_are_no_number_silenced")
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    if exact and np.abs(samples).max(initial=0) > 1:
        notes.append("samples_out_of_range_clipped")
    return np.clip(samples, -1, 1), tuple(notes)


def to_frame(block: Block, sample_format: str, bits: int, layout: str, rate: int, start: int) -> AudioFrame:
    """Make a frame for an encoder.

    Args:
        block: (n, channels); what is out of [-1, 1] is clipped where samples are whole numbers.
        sample_format: FFmpeg's name, e.g. ``s16`` or ``fltp``.
        bits: that count in a sample of whole numbers; the others are 0.
        layout: FFmpeg's name of the channels.
        rate: samples a second.
        start: number of the first sample, which is its time.
    """
    name = sample_format.removesuffix("p")
    columns = _stored(block, name, bits)
    planar = sample_format != name
    laid = np.ascontiguousarray(columns.T) if planar else np.ascontiguousarray(columns).reshape(1, -1)
    frame = AudioFrame.from_ndarray(laid, sample_format, layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
    return frame


def _stored(block: Block, name: str, bits: int) -> NDArray[np.generic]:
    if name not in _BITS:
        return block.astype(SAMPLE_TYPES[name])
    width = _BITS[name]
    top = 2.0 ** (bits - 1)
    whole = np.clip(np.rint(block.astype(np.float64) * top), -top, top - 1)
    whole += top if name == "u8" else 0
    return (whole.astype(np.int64) << (width - bits)).astype(SAMPLE_TYPES[name])
