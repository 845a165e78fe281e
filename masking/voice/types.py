"""The values that voice masking works on."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

RATE: Final = 16_000
"""Samples per second inside; what a file has is brought to it and back."""
HOP: Final = 160
"""Samples between two frames of analysis: 10 ms."""
BANDS: Final = 80
"""Mel bands of a frame, from 0 to 8 kHz."""

Mono = NDArray[np.float32]
"""Samples of one channel, shape (n,), in [-1, 1] at `RATE`."""
Frames = NDArray[np.float32]
"""One row of values for each `HOP` samples, shape (frames, values)."""
