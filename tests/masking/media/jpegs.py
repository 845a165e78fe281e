"""JPEG files of every sampling, and masks on them."""

import io

import numpy as np
from PIL import Image

from masking.media import jpeg_coefficients
from masking.media.image import Still, decode
from masking.media.jpeg_segments import Frame, read_frame, walk
from masking.media.probe import ImageLimits, probe

LIMITS = ImageLimits(bytes=50_000_000, pixels=100_000_000, side=30_000)
RECODED = ("whole_picture_recoded",)
# Name: sampling (horizontal, vertical) of each component.
SAMPLINGS = {
    "4:4:4": ((1, 1), (1, 1), (1, 1)),
    "4:2:2": ((2, 1), (1, 1), (1, 1)),
    "4:2:0": ((2, 2), (1, 1), (1, 1)),
    "4:4:0": ((1, 2), (1, 1), (1, 1)),
    "4:1:1": ((4, 1), (1, 1), (1, 1)),
    "grey": ((1, 1),),
    "grey 2x2": ((2, 2),),
}


def read(data: bytes) -> Still:
    return decode(data, probe(data, LIMITS))


def scene(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Waves and some noise: coefficients of every frequency, and no two blocks alike."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 60 * np.sin(x / (3 + c)) + 50 * np.cos(y / (5 - c) + x / 40) for c in range(channels)]
    noise = np.random.default_rng(height * 1000 + width).normal(0, 6, (height, width, channels))
    pixels = (np.stack(waves, axis=-1) + noise).clip(0, 255).astype(np.uint8)
    return pixels if channels > 1 else pixels[..., 0]


def resampled(name: str, height: int, width: int, quality: int = 80, *, progressive: bool = False) -> bytes:
    """A picture in any sampling: the coefficients of a 4:4:4 one, as many as each component takes."""
    sampling = SAMPLINGS[name]
    out = io.BytesIO()
    Image.fromarray(scene(height, width, len(sampling))).save(out, "JPEG", quality=quality, subsampling=0)
    data = out.getvalue()
    frame = read_frame(data, walk(data))
    components = tuple(c._replace(sampling=s) for c, s in zip(frame.components, sampling, strict=True))
    wanted = Frame(frame.width, frame.height, progressive, components)
    planes = jpeg_coefficients.read(data, frame)
    cut = [np.ascontiguousarray(p[:rows, :columns]) for p, (rows, columns) in zip(planes, grid(wanted), strict=True)]
    tables = {number: tuple(table) for number, table in Image.open(io.BytesIO(data)).quantization.items()}
    return jpeg_coefficients.write(cut, wanted, tables, rgb=False)


def grid(frame: Frame) -> list[tuple[int, int]]:
    return jpeg_coefficients.grid(frame)


def masked(still: Still, box: tuple[int, int, int, int], colour: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x1, y1, x2, y2 = box
    touched = np.zeros(still.pixels.shape[:2], bool)
    touched[y1:y2, x1:x2] = True
    pixels = still.pixels.copy()
    pixels[touched] = colour
    return pixels, touched


def args(still: Still):
    pixels, touched = masked(still, (10, 10, 30, 30))
    return still, pixels, touched
