"""Between the samples of a video and RGB: the matrices of ITU-R BT.601, BT.709 and BT.2020, full and limited range."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from masking.media.video_layout import Layout

RGB_MATRIX: Final = 0
UNSPECIFIED: Final = 2

# Kr and Kb by the code of the matrix (ITU-T H.273, table 4).
_WEIGHTS: Final = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
_SWSCALE: Final = {
    1: Colorspace.ITU709,
    5: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}
_SAME: Final = {
    4: 5,
    6: 5,
    10: 9,
}  # FCC and SMPTE 170M use the weights of BT.601 (FCC nearly so); constant luminance is approximated
_HD_ROWS: Final = 720


@dataclass(frozen=True)
class Colour:
    """What the numbers of a frame mean as colours.

    Attributes:
        matrix: code of the matrix (H.273) that is used, one of 1, 5, 7 and 9.
        full: whether samples span their full range.
    """

    matrix: int
    full: bool

    @classmethod
    def of(cls, matrix: int, colour_range: int, layout: Layout, height: int) -> "Colour":
        """Read the codes of a frame; where the matrix is not told, guess by the height as players do."""
        matrix = _SAME.get(matrix, matrix)
        if matrix not in _WEIGHTS:
            matrix = 1 if height >= _HD_ROWS else 5
        return cls(matrix, layout.full or colour_range == ColorRange.JPEG)

    @property
    def swscale(self) -> Colorspace:
        """The matrix as the scaler names it."""
        return _SWSCALE[self.matrix]

    @property
    def range(self) -> ColorRange:
        """The range as the scaler names it."""
        return ColorRange.JPEG if self.full else ColorRange.MPEG

    def black(self, bits: int) -> tuple[int, int]:
        """Give the luma and the chroma sample of black."""
        return (0 if self.full else 16 << (bits - 8)), 1 << (bits - 1)

    def to_rgb(self, yuv: NDArray[np.uint8] | NDArray[np.uint16], bits: int) -> NDArray[np.uint8]:
        """Convert (h, w, 3) samples of ``bits`` bits to (h, w, 3) uint8 RGB."""
        inverse = np.linalg.inv(self._forward)
        offset = -inverse @ self._offset
        scale = 1 << (bits - 8)
        rgb = cv2.transform(yuv, np.column_stack([inverse / scale, offset]))
        return np.minimum(rgb, 255).astype(np.uint8) if bits > 8 else np.asarray(rgb, np.uint8)

    def from_rgb(self, rgb: NDArray[np.uint8], bits: int) -> NDArray[np.float32]:
        """Convert (h, w, 3) uint8 RGB to (h, w, 3) float32 samples of ``bits`` bits, not rounded."""
        scale = 1 << (bits - 8)
        matrix = np.column_stack([self._forward, self._offset]) * scale
        return np.asarray(cv2.transform(rgb.astype(np.float32), matrix), np.float32)

    @cached_property
    def _forward(self) -> NDArray[np.float64]:
        red, blue = _WEIGHTS[self.matrix]
        luma = np.array([red, 1 - red - blue, blue])
        cb = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - blue))
        cr = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - red))
        y_scale, c_scale = (1.0, 1.0) if self.full else (219 / 255, 224 / 255)
        return np.stack([luma * y_scale, cb * c_scale, cr * c_scale])

    @cached_property
    def _offset(self) -> NDArray[np.float64]:
        return np.array([0.0 if self.full else 16.0, 128.0, 128.0])
