"""Covers the faces of a picture in a style."""

import hmac
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.face.maskers import FIGURATIVE, MASKERS, Masker
from masking.face.region import Region, regions
from masking.types import Faces, Pixels


def cover(
    pixels: Pixels,
    faces: Faces,
    style: str,
    draws: Sequence[int],
    maskers: Mapping[str, Masker] = MASKERS,
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Replace the area of each face.

    Every patch is read from the original, and the smallest faces are masked first, so that the nearer lie in front.

    Args:
        pixels: The picture; it is not changed.
        faces: Where to mask, in pixels of the picture.
        style: A name in ``maskers``.
        draws: A number for each face that picks its surrogate, see `draws`.
        maskers: The styles that can be had, by name.

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
    ordered = sorted(regions(faces, width, height, draws), key=lambda region: region.face.face_px)
    middles = []
    for region in ordered:
        painted = maskers[style](pixels[region.rows, region.columns].copy(), region.face, has_alpha=has_alpha)
        _put(masked, region, painted, region.inside)
        touched[region.rows, region.columns] |= region.inside
        others = [other for other in ordered if other is not region and _meet(region, other)]
        if style in FIGURATIVE and others:
            middles.append((region, painted, region.inside & _nearest(region, others)))
    for region, painted, where in middles:
        _put(masked, region, painted, where)
    return masked, touched


def _put(masked: Pixels, region: Region, painted: Pixels, where: NDArray[np.bool_]) -> None:
    """Replace the pixels of a region that ``where`` (rows, columns) names."""
    target = masked[region.rows, region.columns]
    # Several times faster than numpy's copyto, whose condition has to be spread over the channels.
    target[...] = cv2.copyTo(painted, where.view(np.uint8), target)


def _meet(one: Region, other: Region) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in ((one.rows, other.rows), (one.columns, other.columns)))


def _nearest(region: Region, others: Sequence[Region]) -> NDArray[np.bool_]:
    """Where in a region its own face is nearer than those of the others, measured in sizes of their boxes."""
    own = _distance(region, region)
    nearest = np.ones(own.shape, bool)
    for other in others:
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
