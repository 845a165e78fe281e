"""JPEG (ITU-T T.81): strict decoding, and encoding in the way in which the original was encoded."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import simplejpeg
from PIL import Image

from masking.errors import DamagedMedia
from masking.media import jpeg_blocks
from masking.media.decoded import Colour, Decoded
from masking.media.jpeg_segments import (
    Frame,
    Segment,
    check_scans,
    dropped,
    holds_rgb,
    read_frame,
    read_orientation,
    read_profile,
    read_tables,
    walk,
    without_metadata,
)
from masking.types import Pixels

MAGIC: Final = b"\xff\xd8\xff"

# For pictures whose own tables mean nothing after conversion (CMYK).
_DEFAULT_QUALITY: Final = 92

# What Pillow can write, by the sampling of Y, Cb and Cr; everything else becomes 4:4:4, which loses nothing.
_SUBSAMPLINGS: Final[dict[tuple[tuple[int, int], ...], int]] = {
    ((2, 1), (1, 1), (1, 1)): 1,
    ((2, 2), (1, 1), (1, 1)): 2,
}


@dataclass(frozen=True, slots=True, eq=False)
class JpegRecipe:
    """How the original was encoded, so that the answer keeps its quality and size.

    Attributes:
        tables: of each component the quantisation table, 64 values in natural order, the last for all components
            that follow; None for a good quality of ours.
        subsampling: of the chroma, as Pillow numbers it: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0.
        progressive: progressive rather than sequential.
        rgb: the components are R, G and B, not Y, Cb and Cr.
        stored: the original for `jpeg_blocks`; None where its blocks cannot be kept.
    """

    tables: tuple[tuple[int, ...], ...] | None
    subsampling: int
    progressive: bool
    rgb: bool
    stored: jpeg_blocks.Stored | None


def read_size(data: bytes) -> tuple[int, int]:
    """Read width and height as stored, from the segments up to the frame header.

    Raises:
        DamagedMedia: there is no readable frame header.
        UnsupportedMedia: a kind of JPEG that is not masked here.
    """
    frame = read_frame(data, walk(data))
    return frame.width, frame.height


def decode(data: bytes) -> tuple[Decoded, JpegRecipe]:
    """Decode the first picture of a JPEG file: (h, w) grey, (h, w, 3) RGB or (h, w, 4) CMYK, uint8.

    Raises:
        DamagedMedia: truncated or corrupt, also where libjpeg would only warn.
        UnsupportedMedia: a kind of JPEG that is not masked here.
    """
    segments = list(walk(data))
    frame = read_frame(data, segments)
    check_scans(data, segments, frame)
    turn = read_orientation(data, segments)
    recipe = _recipe(data, segments, frame, sideways=turn >= 5)
    space = {1: "GRAY", 3: "RGB", 4: "CMYK"}[len(frame.components)]
    try:
        pixels = simplejpeg.decode_jpeg(without_metadata(data, segments), space, strict=True)
    except (ValueError, RuntimeError) as error:
        raise DamagedMedia("this JPEG is truncated or corrupt") from error
    colour: Colour = "rgb"
    if space == "GRAY":
        colour, pixels = "grey", pixels[..., 0]
    elif space == "CMYK":
        # Viewers take four components as inverted, which is how Adobe writes them, with or without Adobe's marker.
        colour, pixels = "cmyk", 255 - pixels
    icc = read_profile(data, segments)
    return Decoded(pixels, colour, turn, icc, dropped(data, segments)), recipe


def _recipe(data: bytes, segments: Sequence[Segment], frame: Frame, *, sideways: bool) -> JpegRecipe:
    known = read_tables(data, segments)
    numbers = [component.table for component in frame.components]
    if not known.keys() >= set(numbers):
        raise DamagedMedia("this JPEG lacks a quantisation table")
    if len(numbers) == 4:
        return JpegRecipe(None, 0, frame.progressive, rgb=False, stored=None)
    while numbers[-2:-1] == numbers[-1:]:
        numbers.pop()
    tables = tuple(known[number] for number in numbers)
    # A picture that will be turned on its side takes its chroma along: 4:2:2 becomes 4:4:0, and the other way round.
    sampling = tuple(c.sampling[::-1] if sideways else c.sampling for c in frame.components)
    subsampling = _SUBSAMPLINGS.get(sampling, 0)
    rgb = len(frame.components) == 3 and holds_rgb(data, segments, frame)
    stored = jpeg_blocks.stored(data, segments, frame, rgb=rgb)
    return JpegRecipe(tables, subsampling, frame.progressive, rgb, stored)


def encode(pixels: Pixels, recipe: JpegRecipe, icc: bytes | None) -> bytes:
    """Encode all of grey (h, w) or RGB (h, w, 3) uint8 pixels anew, with the original's tables and sampling."""
    options: dict[str, Any] = {"subsampling": recipe.subsampling, "keep_rgb": recipe.rgb, "icc_profile": icc}
    if recipe.tables is None:
        options["quality"] = _DEFAULT_QUALITY
    else:
        options["qtables"] = recipe.tables
    image = Image.fromarray(pixels)
    try:
        return _save(image, {**options, "progressive": recipe.progressive})
    except OSError:
        # Pillow guesses how large a progressive file can get; noise with the finest tables gets larger.
        return _save(image, options)


def _save(image: Image.Image, options: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()
