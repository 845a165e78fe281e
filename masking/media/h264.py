"""H.264 (ITU-T H.264) as far as streams are cut and joined: their units, and what a sequence parameter set says."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

SLICE, IDR, SEQUENCE, PICTURE = 1, 5, 7, 8
DROPPABLE: Final = frozenset({6, 9, 10, 11, 12})
"""Units that no picture needs: messages (SEI, captions among them), delimiters, ends, filler."""
PROFILES: Final = {66: "baseline", 77: "main", 100: "high"}
_START: Final = b"\0\0\0\1"
_MACROBLOCK: Final = 16
_CONFIGURATION: Final = 6  # bytes of an AVCDecoderConfigurationRecord before its sequence parameter sets


def kind(unit: bytes) -> int:
    """Tell the type of a unit (table 7-1)."""
    return unit[0] & 31


def sample_units(sample: bytes, width: int) -> list[bytes]:
    """Split a sample of ISO/IEC 14496-15, whose units have their length in ``width`` bytes before them.

    Raises:
        ValueError: The lengths do not fit.
    """
    units, at = [], 0
    while at < len(sample):
        end = at + width + int.from_bytes(sample[at : at + width], "big")
        unit = sample[at + width : end]
        if not unit or end > len(sample):
            raise ValueError("a unit does not fit its sample")
        units.append(unit)
        at = end
    return units


def stream_units(stream: bytes) -> list[bytes]:
    """Split a byte stream of Annex B, as an encoder gives it."""
    return [unit for part in stream.split(_START[1:])[1:] if (unit := part.rstrip(b"\0"))]


def byte_stream(units: Iterable[bytes]) -> bytes:
    """Join units to a byte stream of Annex B."""
    return b"".join(_START + unit for unit in units)


@dataclass(frozen=True, slots=True)
class Sequence:
    """What a sequence parameter set says (7.3.2.1.1).

    Attributes:
        number: its id.
        profile: ``profile_idc``.
        level: ``level_idc``, ten times the level.
        references: how many frames may be referred to.
        size: columns and rows of the picture that is shown.
    """

    number: int
    profile: int
    level: int
    references: int
    size: tuple[int, int]

    @classmethod
    def of(cls, unit: bytes) -> Self:
        """Read a set of the plain kind: frames of 8 bits in 4:2:0, and next to nothing that is stored is not shown.

        Raises:
            ValueError: It is of another kind, or damaged.
        """
        bits = _Bits(unit[1:])
        profile, _, level, number = bits.read(8), bits.read(8), bits.read(8), bits.count()
        plain = profile in PROFILES
        if profile == 100:
            plain &= (bits.count(), bits.count(), bits.count(), bits.read(2)) == (1, 0, 0, 0)
        if not plain:
            raise ValueError("the stream is not of a plain profile")
        bits.count()  # log2_max_frame_num
        order = bits.count()
        if order == 0:
            bits.count()
        references, gaps = bits.count(), bits.read(1)
        across, down, frames = bits.count() + 1, bits.count() + 1, bits.read(1)
        bits.read(1)  # direct_8x8_inference
        left, right, top, bottom = (2 * bits.count() for _ in range(4)) if bits.read(1) else (0, 0, 0, 0)
        hidden = left or top or max(right, bottom) >= _MACROBLOCK
        if order == 1 or gaps or not frames or not 1 <= references <= _MACROBLOCK or hidden:
            raise ValueError("the stream is not of the plain kind")
        size = (_MACROBLOCK * across - right, _MACROBLOCK * down - bottom)
        return cls(number, profile, level, references, size)


@dataclass(frozen=True, slots=True)
class Sets:
    """The one sequence and the one picture parameter set of a stream."""

    sequence: bytes
    picture: bytes

    @classmethod
    def of(cls, units: Iterable[bytes]) -> Self:
        """Take them from ``units``, where there may be others.

        Raises:
            ValueError: There is not one of each.
        """
        found = [unit for unit in units if kind(unit) in (SEQUENCE, PICTURE)]
        if [kind(unit) for unit in found] != [SEQUENCE, PICTURE]:
            raise ValueError("a stream has one parameter set of each kind")
        return cls(*found)

    @property
    def numbers(self) -> frozenset[int]:
        """The ids that they take.

        Raises:
            ValueError: Pictures are stored in a way (7.3.2.2) by which decoders may show different ones.
        """
        bits = _Bits(self.picture[1:])
        number, of = bits.count(), bits.count()
        bits.read(2)  # entropy coding, order of fields
        slice_groups = bits.count()
        bits.count(), bits.count(), bits.read(3)  # references, weights
        bits.count(), bits.count(), bits.count(), bits.read(2)  # quantisers, deblocking, constrained prediction
        redundant = bits.read(1)
        if slice_groups or redundant or of != Sequence.of(self.sequence).number:
            raise ValueError("the pictures are not stored in the plain way")
        return frozenset((number, of))

    @property
    def stream(self) -> bytes:
        """Both as a byte stream."""
        return byte_stream((self.sequence, self.picture))


def configuration(record: bytes) -> tuple[Sets, int]:
    """Read an AVCDecoderConfigurationRecord: the parameter sets, and in how many bytes a sample's units have lengths.

    Raises:
        ValueError: It is none, or does not have one set of each kind.
    """
    if len(record) <= _CONFIGURATION or record[0] != 1 or record[5] & 31 != 1:
        raise ValueError("there is no plain configuration record")
    sequence, at = _counted(record, _CONFIGURATION)
    if record[at : at + 1] != b"\1":
        raise ValueError("there is not one picture parameter set")
    picture, _ = _counted(record, at + 1)
    return Sets.of((sequence, picture)), (record[4] & 3) + 1


def _counted(record: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + int.from_bytes(record[at : at + 2], "big")
    if end > len(record) or end - at < 3:
        raise ValueError("the configuration record is cut off")
    return record[at + 2 : end], end


class _Bits:
    """The bits of a unit's payload, in order; ValueError past the end."""

    def __init__(self, payload: bytes) -> None:
        plain = payload.replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(plain, "big"), 8 * len(plain)

    def read(self, width: int) -> int:
        """Read an unsigned number of ``width`` bits."""
        if width > self._left:
            raise ValueError("a parameter set is cut off")
        self._left -= width
        return self._value >> self._left & ((1 << width) - 1)

    def count(self) -> int:
        """Read an Exp-Golomb code (9.1)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)
