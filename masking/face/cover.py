"""Covers the faces of a picture in a style."""

import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.face.maskers import FIGURATIVE, MASKERS, Masker
from masking.face.region import Region, regions
from masking.face.surrogates.tones import ToneKeeper
from masking.types import Faces, Pixels

OUTSHONE: Final = 0.6
"""Share of the score of a surer face below which a face that lies in the same place is the same head."""
SHARED: Final = 0.3
"""Share of the smaller box that two boxes of the same head have in common, at least."""


def cover(
    pixels: Pixels,
    faces: Faces,
    style: str,
    draws: Sequence[int],
    maskers: Mapping[str, Masker] = MASKERS,
    tones: ToneKeeper | None = None,
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Replace the area of each face.

    Every patch is read from the original, and the smallest faces are masked first, so that the nearer lie in front.

    Args:
        pixels: The picture; it is not changed.
        faces: Where to mask, in pixels of the picture.
        style: A name in ``maskers``.
        draws: A number for each face that picks its surrogate, see `draws`.
        maskers: The styles that can be had, by name.
        tones: Reads the skin tones that are to be kept; None keeps none.

    Returns:
        The masked copy, and (h, w) bool of the pixels that a mask covers; all others are as they were.

    Raises:
        KeyError: The style is unknown.
        ValueError: ``draws`` has not one number for each face.
    """
    height, width = pixels.shape[:2]
    has_alpha = pixels.ndim == 3 and pixels.shape[2] in (2, 4)
    masked = pixels.copy()
    touched = np.zeros((height, width), bool)
    masker = maskers[style]

    def paint(region: Region) -> Pixels:
        patch = pixels[region.rows, region.columns].copy()
        return masker(patch, region.face if tones is None else tones.told(region.face, patch), has_alpha=has_alpha)

    for region, painted, where in strokes(list(regions(faces, width, height, draws)), paint, style in FIGURATIVE):
        _put(masked, region, painted, where)
        touched[region.rows, region.columns] |= where
    return masked, touched


def strokes(
    places: Sequence[Region], paint: Callable[[Region], Pixels], figurative: bool
) -> Iterator[tuple[Region, Pixels, NDArray[np.bool_]]]:
    """Yield what to put where, one after the other: a region, its painted patch, and which of its pixels to replace.

    Each region is painted once; the smallest come first, so that the nearer lie in front.

    Args:
        places: The regions of one picture.
        paint: Gives the painted patch of a region. It may be called after the first pixels were replaced.
        figurative: Whether the middle of a mask shows something that the mask of a neighbour should not hide.
    """
    middles = []
    ordered = sorted(places, key=lambda region: region.face.face_px)
    if figurative:
        ordered = [_alone(region) if _outshone(region, ordered) else region for region in ordered]
    for region in ordered:
        painted = paint(region)
        yield region, painted, region.inside
        if not (figurative and region.face.shown):
            continue  # Who meets whom costs more than the masks themselves among a thousand faces.
        if others := [other for other in ordered if other is not region and _meet(region, other)]:
            middles.append((region, painted, region.inside & _nearest(region, others)))
    yield from middles


def _put(masked: Pixels, region: Region, painted: Pixels, where: NDArray[np.bool_]) -> None:
    """Replace the pixels of a region that ``where`` (rows, columns) names."""
    target = masked[region.rows, region.columns]
    # Several times faster than numpy's copyto, whose condition has to be spread over the channels.
    target[...] = cv2.copyTo(painted, where.view(np.uint8), target)


def _meet(one: Region, other: Region) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in ((one.rows, other.rows), (one.columns, other.columns)))


def _outshone(region: Region, others: Sequence[Region]) -> bool:
    """Whether a region is likely a second look at a face that a surer box holds: two heads would hide each other."""
    return any(region.score < OUTSHONE * other.score and _shared(region, other) > SHARED for other in others)


def _shared(one: Region, other: Region) -> float:
    """Share of the smaller of two boxes that lies in the larger."""
    starts = [np.array((each.columns.start, each.rows.start), np.float32) for each in (one, other)]
    corners = [each.face.box.reshape(2, 2) + start for each, start in zip((one, other), starts, strict=True)]
    sides = np.minimum(corners[0][1], corners[1][1]) - np.maximum(corners[0][0], corners[1][0])
    return float(np.prod(sides.clip(0))) / min(float(np.prod(high - low)) for low, high in corners)


def _alone(region: Region) -> Region:
    return replace(region, face=replace(region.face, shown=False))


def _nearest(region: Region, others: Sequence[Region]) -> NDArray[np.bool_]:
    """Where in a region its own face is nearer than those of the others that are shown, in sizes of their boxes."""
    own = _distance(region, region)
    nearest = np.ones(own.shape, bool)
    for other in others:
        if other.face.shown:
            nearest &= own < _distance(other, region)
    return nearest


def _distance(face: Region, region: Region) -> NDArray[np.float32]:
    """Squared distance (rows, columns) of a region's pixels from the middle of a face, in half sides of its box."""
    x1, y1, x2, y2 = (float(value) for value in face.face.box)
    across = np.arange(region.columns.start, region.columns.stop, dtype=np.float32) + 0.5 - face.columns.start
    down = np.arange(region.rows.start, region.rows.stop, dtype=np.float32) + 0.5 - face.rows.start
    u, v = (2 * across - x1 - x2) / (x2 - x1), (2 * down - y1 - y2) / (y2 - y1)
    return np.asarray(np.square(u)[None, :] + np.square(v)[:, None], np.float32)


def draws(key: bytes, tracks: Sequence[int]) -> list[int]:
    """Draw a 64-bit number for each track: the same for the same key, and without it as good as chance (HMAC-SHA256).

    Args:
        key: Secret, at least 16 bytes; a fresh one for each file keeps two answers from being linked.
        tracks: Numbers of the faces or tracks, each from 0 to 2**64 - 1.
    """
    return [
        int.from_bytes(hmac.digest(key, track.to_bytes(8, "big"), "sha256")[:8], "big") for track in map(int, tracks)
    ]
