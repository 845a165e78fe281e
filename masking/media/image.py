"""A single picture: from bytes to upright pixels, and back to bytes of the same kind without any metadata."""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.errors import DamagedMedia
from masking.media import icc, jpeg, png, webp
from masking.media.decoded import Decoded, Note
from masking.media.exif import upright
from masking.media.jpeg import JpegRecipe
from masking.media.png import PngRecipe
from masking.media.probe import ImageKind, Probe
from masking.media.webp import WebpRecipe
from masking.types import Pixels

Recipe = JpegRecipe | PngRecipe | WebpRecipe


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """One picture, upright, and what is needed to encode it as it was.

    Attributes:
        kind: of the file that it came from and goes back to.
        pixels: (h, w) grey, (h, w, 2) grey and alpha, (h, w, 3) RGB or (h, w, 4) RGBA; uint8 or uint16.
        notes: what was changed or left out, for the report.
        icc: the known standard profile under which the pixels are to be seen; None is sRGB.
        recipe: how the original was encoded.
    """

    kind: ImageKind
    pixels: Pixels
    notes: tuple[str, ...]
    icc: bytes | None
    recipe: Recipe


def decode(data: bytes, probe: Probe) -> Still:
    """Decode what ``probe`` was made of, apply its orientation and settle its colours.

    Raises:
        DamagedMedia: truncated or corrupt, also where common decoders would only warn.
        UnsupportedMedia: a part beyond the header is of a kind that is not masked here.
    """
    decoded, recipe = _decode(data, probe.kind)
    if decoded.pixels.shape[:2] != (probe.height, probe.width):
        raise DamagedMedia("the picture is not of the size that its header declares")
    pixels, profile, colour_notes = icc.settle(decoded.pixels, decoded.colour, decoded.icc)
    turned = (Note.ORIENTATION_APPLIED,) if decoded.orientation != 1 else ()
    return Still(
        kind=probe.kind,
        pixels=upright(pixels, decoded.orientation),
        notes=(*decoded.notes, *turned, *colour_notes),
        icc=profile,
        recipe=recipe,
    )


def encode(still: Still, pixels: Pixels) -> bytes:
    """Encode ``pixels`` as the file that ``still`` came from: same kind, quality and colour profile, and nothing else.

    Raises:
        ValueError: the shape or the depth is not that of ``still``.
    """
    if pixels.shape != still.pixels.shape or pixels.dtype != still.pixels.dtype:
        raise ValueError(
            f"pixels of {pixels.shape} {pixels.dtype} do not fit a picture of {still.pixels.shape} {still.pixels.dtype}"
        )
    match still.recipe:
        case JpegRecipe() as recipe:
            return jpeg.encode(pixels, recipe, still.icc)
        case PngRecipe():
            return png.encode(pixels, still.icc)
        case WebpRecipe() as recipe:
            return webp.encode(pixels, recipe, still.icc)


def views(pixels: Pixels) -> tuple[NDArray[np.uint8], ...]:
    """Every picture that someone could see in ``pixels``, for a detector: one (h, w, 3) RGB array, or two.

    The first holds the colour channels as they are: a viewer that ignores alpha shows them, so a face counts even where
    it is fully transparent. Where something is transparent, the second is what alpha draws: a face can be in alpha
    alone, over flat colours, and then shows over any background but one of that colour. So each pixel is laid over
    black if it is light and over white if it is dark, which no flat colour can hide from.
    """
    octets = pixels.astype(np.uint8, copy=False) if pixels.itemsize == 1 else (pixels >> 8).astype(np.uint8)
    channels = 1 if octets.ndim == 2 else octets.shape[2]
    if channels >= 3:
        colour = np.ascontiguousarray(octets[..., :3])
    else:
        grey = octets if channels == 1 else octets[..., 0]
        colour = cast(NDArray[np.uint8], cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))
    if channels in (1, 3) or octets[..., -1].min() == 255:
        return (colour,)
    share = octets[..., -1:].astype(np.uint16)
    ground = np.where(colour.mean(axis=2, keepdims=True) < 128, 255, 0).astype(np.uint16)
    over = (colour * share + ground * (255 - share) + 127) // 255
    return colour, over.astype(np.uint8)


def _decode(data: bytes, kind: ImageKind) -> tuple[Decoded, Recipe]:
    match kind:
        case ImageKind.JPEG:
            return jpeg.decode(data)
        case ImageKind.PNG:
            return png.decode(data)
        case ImageKind.WEBP:
            return webp.decode(data)
