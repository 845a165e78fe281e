"""A single picture: from bytes to upright pixels, and back to bytes of the same kind without any metadata."""

from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.errors import DamagedMedia
from masking.media import icc, jpeg, jpeg_blocks, png, webp
from masking.media.decoded import Decoded, Note
from masking.media.exif import upright
from masking.media.jpeg import JpegRecipe
from masking.media.levels import Levels, pale, spread
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
    if isinstance(recipe, JpegRecipe) and (turned or pixels is not decoded.pixels):
        # The stored blocks are of a picture that lies another way, or has other colours.
        recipe = replace(recipe, stored=None)
    return Still(
        kind=probe.kind,
        pixels=upright(pixels, decoded.orientation),
        notes=(*decoded.notes, *turned, *colour_notes),
        icc=profile,
        recipe=recipe,
    )


def encode(still: Still, pixels: Pixels, touched: NDArray[np.bool_] | None = None) -> bytes:
    """Encode ``pixels`` as `encode_with_notes` does, where nobody asks what happened to the rest of the picture."""
    return encode_with_notes(still, pixels, touched)[0]


def encode_with_notes(
    still: Still, pixels: Pixels, touched: NDArray[np.bool_] | None = None
) -> tuple[bytes, tuple[Note, ...]]:
    """Encode ``pixels`` as the file that ``still`` came from: same kind, quality and colour profile, and nothing else.

    What lies outside the mask stays exactly as it was in PNG, in lossless WebP, and in every MCU of a JPEG that holds
    no touched pixel, whose coefficients are copied.

    Args:
        still: the original.
        pixels: the masked picture, of its shape and depth.
        touched: (h, w) bool of the upright picture, the pixels that may differ from the original: all others must not.
            None, for all of them, loses what could be kept.

    Returns:
        The file, and `Note.WHOLE_PICTURE_RECODED` where pixels outside the mask were coded anew with loss.

    Raises:
        ValueError: the shape or the depth is not that of ``still``, or a pixel differs that is not said to be touched:
            the block that it lies in would show the original.
    """
    _check_fit(still.pixels, pixels, touched)
    match still.recipe:
        case JpegRecipe() as recipe:
            return _encode_jpeg(pixels, recipe, touched, still.icc)
        case PngRecipe():
            return png.encode(pixels, still.icc), ()
        case WebpRecipe() as recipe:
            notes = () if recipe.lossless else (Note.WHOLE_PICTURE_RECODED,)
            return webp.encode(pixels, recipe, still.icc), notes


def views(pixels: Pixels) -> tuple[NDArray[np.uint8], ...]:
    """Every picture that someone could see in ``pixels``, for a detector: one to three, as `views_at` tells."""
    return views_at(pixels, pale(pixels))


def views_at(pixels: Pixels, levels: Levels | None) -> tuple[NDArray[np.uint8], ...]:
    """Every picture that someone could see in ``pixels``, (h, w, 3) RGB each, its levels spread as those of another.

    The first holds the colour channels as they are: a viewer that ignores alpha shows them, so a face counts even where
    it is fully transparent. The next, where there are levels to spread, is what viewers and editors show at a click:
    twelve bits in sixteen look black until then. Where something is transparent, the last is what alpha draws: a face
    can be in alpha alone, over flat colours, and then shows over any background but one of that colour. So each pixel
    is laid over black if it is light and over white if it is dark, which no flat colour can hide from.
    """
    octets = pixels.astype(np.uint8, copy=False) if pixels.itemsize == 1 else (pixels >> 8).astype(np.uint8)
    channels = 1 if octets.ndim == 2 else octets.shape[2]
    colour = _in_colour(octets[..., :3] if channels >= 3 else octets if channels == 1 else octets[..., 0])
    shown = (colour,) if levels is None else (colour, _in_colour(spread(pixels, levels)))
    if channels in (1, 3) or octets[..., -1].min() == 255:
        return shown
    share = octets[..., -1:].astype(np.uint16)
    ground = np.where(colour.mean(axis=2, keepdims=True) < 128, 255, 0).astype(np.uint16)
    over = (colour * share + ground * (255 - share) + 127) // 255
    return *shown, over.astype(np.uint8)


def _in_colour(octets: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if octets.ndim == 3:
        return np.ascontiguousarray(octets)
    return cast(NDArray[np.uint8], cv2.cvtColor(octets, cv2.COLOR_GRAY2RGB))


def _decode(data: bytes, kind: ImageKind) -> tuple[Decoded, Recipe]:
    match kind:
        case ImageKind.JPEG:
            return jpeg.decode(data)
        case ImageKind.PNG:
            return png.decode(data)
        case ImageKind.WEBP:
            return webp.decode(data)


def _encode_jpeg(
    pixels: Pixels, recipe: JpegRecipe, touched: NDArray[np.bool_] | None, profile: bytes | None
) -> tuple[bytes, tuple[Note, ...]]:
    if recipe.stored is not None and touched is not None:
        kept = jpeg_blocks.encode(recipe.stored, pixels, touched, profile)
        if kept is not None:
            return kept, ()
    return jpeg.encode(pixels, recipe, profile), (Note.WHOLE_PICTURE_RECODED,)


def _check_fit(original: Pixels, pixels: Pixels, touched: NDArray[np.bool_] | None) -> None:
    if pixels.shape != original.shape or pixels.dtype != original.dtype:
        raise ValueError(
            f"pixels of {pixels.shape} {pixels.dtype} do not fit a picture of {original.shape} {original.dtype}"
        )
    if touched is None:
        return
    if touched.shape != pixels.shape[:2]:
        raise ValueError(f"touched pixels of {touched.shape} do not fit a picture of {pixels.shape[:2]}")
    if not _same_outside(original, pixels, touched):
        raise ValueError("a pixel differs from the original though it is not said to be touched")


def _same_outside(original: Pixels, pixels: Pixels, touched: NDArray[np.bool_]) -> bool:
    rows = np.flatnonzero(touched.any(axis=1))
    top, bottom = (rows[0], rows[-1] + 1) if rows.size else (0, 0)
    differs = pixels[top:bottom] != original[top:bottom]
    differs[touched[top:bottom]] = False
    above, below = slice(0, top), slice(bottom, None)
    return not differs.any() and all(np.array_equal(pixels[part], original[part]) for part in (above, below))
