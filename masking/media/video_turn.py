"""How the stored picture of a video lies, and how it is looked at: the eight turns of a display matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)

ONE: Final = 1 << 16  # 1.0 in the 16.16 fixed point of a display matrix


@dataclass(frozen=True, slots=True)
class Turn:
    """Upright picture = stored picture, transposed first, then its rows and columns reversed.

    Attributes:
        transposed: rows and columns change places.
        rows_reversed: the upright picture has its rows in reverse.
        columns_reversed: the upright picture has its columns in reverse.
    """

    transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    @classmethod
    def of(cls, matrix: Sequence[int]) -> Self:
        """Read the nearest turn from nine integers ``a b u c d v x y w`` (ISO/IEC 14496-12, 8.3.2).

        A stored point (x, y) is shown at (a * x + c * y, b * x + d * y), y pointing down.
        """
        a, b, _, c, d, _, *_ = matrix
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, d < 0, a < 0)
        return cls(True, b < 0, c < 0)

    @property
    def matrix(self) -> tuple[int, ...]:
        """The display matrix that says this turn and nothing else."""
        across, down = (-ONE if self.columns_reversed else ONE), (-ONE if self.rows_reversed else ONE)
        if self.transposed:
            return (0, down, 0, across, 0, 0, 0, 0, 1 << 30)
        return (across, 0, 0, 0, down, 0, 0, 0, 1 << 30)

    @property
    def is_none(self) -> bool:
        """Whether the stored picture is upright already."""
        return not (self.transposed or self.rows_reversed or self.columns_reversed)

    def upright(self, stored: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """Show (rows, columns, ...) ``stored`` upright; a view, so that what is written to it is stored."""
        turned = stored.swapaxes(0, 1) if self.transposed else stored
        return turned[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]

    def stored(self, upright: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """Lay (rows, columns, ...) ``upright`` as it is stored: the reverse of ``upright``, a view as well."""
        turned = upright[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]
        return turned.swapaxes(0, 1) if self.transposed else turned

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Change stored width and height into upright ones, or upright into stored."""
        return (height, width) if self.transposed else (width, height)

    def stored_span(self, rows: slice, columns: slice, width: int, height: int) -> tuple[slice, slice]:
        """Find the stored rows and columns of an upright rectangle in an upright picture of width x height."""
        rows, columns = _span(rows, height, self.rows_reversed), _span(columns, width, self.columns_reversed)
        return (columns, rows) if self.transposed else (rows, columns)


def _span(span: slice, size: int, reverse: bool) -> slice:
    start, stop, _ = span.indices(size)
    stop = max(start, stop)
    return slice(size - stop, size - start) if reverse else slice(start, stop)
