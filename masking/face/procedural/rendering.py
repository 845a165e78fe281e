"""Renders one person: surfaces are lit, turned, splatted into a depth buffer and averaged down to the size asked."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.face.procedural.bust import Patch, ear, glasses, long_hair, neck, shoulders
from masking.face.procedural.colour import paint
from masking.face.procedural.head import HAIRLINES, Array, Head, build_head, grid
from masking.face.procedural.identity import Capture, Identity

# A face from the hairline to the chin, in half heads: what ``size_px`` measures on a frontal, upright head.
FACE_HEIGHT = 1.55
CANVAS = 2.0
# Faces are drawn at about this size or larger, and averaged down.
_FINE_FACE_PX = 120
# Largest distance between samples of a surface in fine pixels: each colours four of them.
_GAP_PX = 1.6
_AWAY = -0.2  # a surface whose normal's depth is less than this cannot be seen
# Where a face ends for the eye of a labeller: height of the chin, longitude of the cheek.
_CHIN = 0.93
_CHEEK = np.radians(66.0)
_VIEW_DISTANCE = 7.0
_PIVOT = np.array([0.0, 0.55, -0.25], np.float32)
_FACE_CENTRE = np.array([0.0, 0.1, 0.55], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """One person on nothing.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, premultiplied by nothing: black where alpha is 0.
        alpha: (h, w) float32 in [0, 1], how much of a pixel the person covers.
        box: (4,) float32 ``x1, y1, x2, y2`` in pixels, around the face: forehead to chin, cheek to cheek.
        landmarks: (5, 2) float32 ``x, y``: right eye, left eye, nose, right and left mouth corner (the person's right).
    """

    pixels: NDArray[np.uint8]
    alpha: Array
    box: Array
    landmarks: Array


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """From half heads to pixels of the fine picture: the camera looks along -z at the middle of the face."""

    who_turns: Array
    unit_px: float
    side_px: int
    centre: Array

    def rotation(self, share: float) -> Array:
        yaw, pitch, roll = np.radians(self.who_turns * share)
        cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
        turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        nod = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return np.asarray(tilt @ nod @ turn, np.float32)

    def place(self, points: Array, share: float) -> Array:
        """Rotate about the neck."""
        return np.asarray((points - _PIVOT) @ self.rotation(share).T + _PIVOT, np.float32)

    def project(self, placed: Array) -> Array:
        """Pixels x, y and depth of placed points, with a mild perspective."""
        near = self.unit_px * _VIEW_DISTANCE / (_VIEW_DISTANCE - placed[..., 2:])
        flat = (placed[..., :2] - self.centre) * near + 0.5 * self.side_px
        return np.concatenate([flat, placed[..., 2:]], -1)


def render(who: Identity, how: Capture, size_px: float, *, clothes: bool = True) -> Rendered:
    """Render a person on a square canvas of twice the face's size, the face in its middle.

    Args:
        who: The person.
        how: Pose, light and expression. Blur, noise and exposure belong to the whole picture: see ``develop``.
        size_px: Height of the face, forehead to chin, at least 4.
        clothes: Whether the person has shoulders, which are dressed; without, head and neck alone.

    Raises:
        ValueError: ``size_px`` is too small to show anything.
    """
    view, factor, head = _posed(who, how, size_px)
    fine, mask = _splat([_lit(patch, view, how) for patch in _patches(who, how, head, clothes)], view)
    return _reduced(fine, mask, factor, *_labels(who, head, view))


def locate(who: Identity, how: Capture, size_px: float) -> Array:
    """Give the landmarks that `render` would give, without drawing anything. Arguments and errors as there."""
    view, factor, head = _posed(who, how, size_px)
    return np.asarray(_labels(who, head, view)[1] / np.float32(factor), np.float32)


def _posed(who: Identity, how: Capture, size_px: float) -> tuple[_View, int, Head]:
    """How a person is seen, how many times larger than wanted, and the surface of the head."""
    if size_px < 4:
        raise ValueError("a face of less than 4 pixels shows nothing")
    side = int(np.ceil(size_px * CANVAS))
    factor = int(np.clip(np.ceil(_FINE_FACE_PX / size_px), 1, 5))
    turns = np.array([how.yaw, how.pitch, how.roll], np.float32)
    view = _View(turns, size_px * factor / FACE_HEIGHT, side * factor, np.zeros(2, np.float32))
    centre = view.place(_FACE_CENTRE, 1.0)[:2] / (1.0 - _FACE_CENTRE[2] / _VIEW_DISTANCE)
    return _View(turns, view.unit_px, view.side_px, centre), factor, build_head(who, how)


def _patches(who: Identity, how: Capture, head: Head, clothes: bool) -> list[Patch]:
    colour, gloss = paint(who, how, head)
    shade = np.clip(1.0 - 7.0 * np.clip(head.cavity, 0.0, None), 0.35, 1.0)
    patches = [Patch(head.points, colour * shade[..., None], gloss), neck(who)]
    if clothes:
        patches.append(shoulders(who, how))
    if who.hair_style == "long":
        patches.append(long_hair(who))
    patches += [ear(who, -1.0), ear(who, 1.0)]
    if who.glasses > 0.45:
        near_eye = np.argmin((head.x - who.eye_spacing) ** 2 + (head.y - who.eye_y) ** 2 + 9 * (head.front < 0.5))
        patches += glasses(who, float(head.points.reshape(-1, 3)[near_eye, 2]))
    return patches


def _normals(placed: Array) -> Array:
    """Unit normals from the differences between neighbours along the two directions of a patch."""
    down, across = np.empty_like(placed), np.empty_like(placed)
    down[1:-1], across[:, 1:-1] = placed[2:] - placed[:-2], placed[:, 2:] - placed[:, :-2]
    down[0], down[-1] = placed[1] - placed[0], placed[-1] - placed[-2]
    across[:, 0], across[:, -1] = placed[:, 1] - placed[:, 0], placed[:, -1] - placed[:, -2]
    (ax, ay, az), (dx, dy, dz) = np.moveaxis(across, -1, 0), np.moveaxis(down, -1, 0)
    normal = np.stack([ay * dz - az * dy, az * dx - ax * dz, ax * dy - ay * dx], -1)
    return np.asarray(normal / (np.sqrt((normal**2).sum(-1, keepdims=True)) + 1e-9), np.float32)


def _lit(patch: Patch, view: _View, how: Capture) -> tuple[Array, Array]:
    """Projected points (n, 3) and linear colours (n, 3) of a patch, dense enough to leave no holes.

    Lambert's law softened over the terminator (light bleeds through skin), a sky brighter than the ground, and
    Blinn's highlight (Blinn 1977).
    """
    placed = view.place(patch.points, patch.turns)
    normal = _normals(placed)
    if not patch.convex:
        normal = normal * np.where(normal[..., 2:] < 0, -1.0, 1.0).astype(np.float32)
    azimuth, height = np.radians(how.light_azimuth), np.radians(how.light_height)
    light = np.array([np.sin(azimuth) * np.cos(height), -np.sin(height), np.cos(azimuth) * np.cos(height)], np.float32)
    half = light + np.array([0.0, 0.0, 1.0], np.float32)
    half /= np.linalg.norm(half)
    diffuse = np.clip((normal @ light + 0.18) / 1.18, 0.0, None)
    sky = 0.72 - 0.28 * normal[..., 1]
    shine = patch.gloss * np.clip(normal @ half, 0.0, None) ** 24
    warm = np.array([1.0 + how.warmth, 1.0, 1.0 - how.warmth], np.float32)
    lit = patch.colour * (how.key * diffuse[..., None] * warm + how.ambient * sky[..., None])
    lit = lit + (0.8 * how.key * shine)[..., None] * warm
    flat = np.concatenate([view.project(placed), lit, normal[..., 2:]], -1)
    return _dense(flat, patch.convex, view.side_px)


def _dense(flat: Array, convex: bool, side: int) -> tuple[Array, Array]:
    """Interpolate what is seen of a patch until neighbours are about a pixel apart, and drop what faces away."""
    middle, reach = np.float32(0.5 * side), np.float32(0.5 * side + 4.0)
    seen = (np.abs(flat[..., 0] - middle) < reach) & (np.abs(flat[..., 1] - middle) < reach)
    if convex:
        seen &= flat[..., 6] > _AWAY
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if not rows.size:
        return np.empty((0, 3), np.float32), np.empty((0, 3), np.float32)
    part = flat[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shape = (_samples(part[::4]), _samples(part[:, ::4].swapaxes(0, 1)))
    places, others = _resized(part[..., :3], shape), _resized(part[..., 3:], shape)
    if convex:
        kept = np.flatnonzero(others[:, 3] > _AWAY)
        places, others = places.take(kept, 0), others.take(kept, 0)
    return places, others[:, :3]


def _resized(part: Array, shape: tuple[int, int]) -> Array:
    grown = cv2.resize(np.ascontiguousarray(part), shape, interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown, np.float32).reshape(-1, part.shape[2])


def _samples(part: Array) -> int:
    """How many samples along the second axis leave few gaps between the four pixels that each one colours."""
    count = int(part.shape[1])
    if count < 2:
        return count
    step = np.maximum(*(np.abs(np.diff(part[..., i], axis=1)).ravel() for i in (0, 1)))
    wide = np.partition(step, int(0.985 * (step.size - 1)))[int(0.985 * (step.size - 1))]
    return int(count * max(0.6, float(wide) / _GAP_PX)) + 1


def _splat(layers: list[tuple[Array, Array]], view: _View) -> tuple[Array, Array]:
    """Every point colours the four pixels around it, and the nearest point wins each pixel."""
    side = view.side_px
    points, colours = np.concatenate([p for p, _ in layers]), np.concatenate([c for _, c in layers])
    column, row = np.floor(points[:, 0] - 0.5).astype(np.int64), np.floor(points[:, 1] - 0.5).astype(np.int64)
    index = np.flatnonzero((column >= 0) & (row >= 0) & (column < side - 1) & (row < side - 1))
    depth = ((points[index, 2] + 8.0) * 2**16).astype(np.int64)
    key, place = (depth << 32) | index, row[index] * side + column[index]
    buffer = np.full(side * side, -1, np.int64)
    for step in (0, 1, side, side + 1):
        np.maximum.at(buffer, place + step, key)
    hit = buffer >= 0
    fine = np.zeros((side * side, 3), np.float32)
    fine[hit] = colours[buffer[hit] & 0xFFFFFFFF]
    return _closed(fine.reshape(side, side, 3), hit.reshape(side, side).astype(np.float32))


def _closed(fine: Array, mask: Array) -> tuple[Array, Array]:
    """Fill the pinholes where a surface is stretched from what lies around them."""
    holes = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > mask
    share = cv2.blur(mask, (5, 5))
    fine[holes] = (cv2.blur(fine, (5, 5)) / np.maximum(share, 1e-3)[..., None])[holes]
    mask[holes] = 1.0
    return fine, mask


def _reduced(fine: Array, mask: Array, factor: int, box: Array, landmarks: Array) -> Rendered:
    """Average blocks of ``factor`` x ``factor`` pixels of linear light, then encode with sRGB's approximate gamma."""
    if factor == 1:  # too large to be drawn larger still: only its edges are softened
        fine, mask = (np.asarray(cv2.GaussianBlur(each, (3, 3), 0.6), np.float32) for each in (fine, mask))
    side = fine.shape[0] // factor
    small = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)
    alpha = np.clip(cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA), 0.0, 1.0)
    straight = np.clip(small / np.maximum(alpha, 1e-3)[..., None], 0.0, 1.0) ** np.float32(1 / 2.2)
    pixels = np.round(255.0 * straight * (alpha > 0)[..., None]).astype(np.uint8)
    return Rendered(pixels, alpha.astype(np.float32), box / np.float32(factor), landmarks / np.float32(factor))


def _forehead(who: Identity) -> float:
    """Upper edge of the face's box: it follows the hairline half way, as boxes that people and detectors draw do."""
    edge = who.hairline + HAIRLINES[who.hair_style][0]
    return -0.52 + 0.35 * (min(max(edge, -0.8), -0.3) + 0.5)


def _labels(who: Identity, head: Head, view: _View) -> tuple[Array, Array]:
    """The box around the visible face and its five landmarks, in fine pixels."""
    window = head.between(_forehead(who), _CHIN)
    x, y = head.x[window], head.y[window]
    flat = view.project(view.place(head.points[window], 1.0))[..., :2]
    across, down = np.diff(flat, axis=1)[:-1], np.diff(flat, axis=0)[:, :-1]
    facing = across[..., 0] * down[..., 1] > across[..., 1] * down[..., 0]
    shown = flat[:-1, :-1][facing & (np.abs(grid().longitude[window])[:-1, :-1] < _CHEEK)]
    box = np.concatenate([shown.min(0), shown.max(0)]).astype(np.float32)
    wanted = (
        (-who.eye_spacing, who.eye_y),
        (who.eye_spacing, who.eye_y),
        (0.0, who.nose_y),
        (-who.mouth_width * 0.95, who.mouth_y),
        (who.mouth_width * 0.95, who.mouth_y),
    )
    at = [int(np.argmin((x - px) ** 2 + (y - py) ** 2)) for px, py in wanted]
    return box, np.asarray(flat.reshape(-1, 2)[at], np.float32)
