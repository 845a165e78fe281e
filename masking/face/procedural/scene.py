"""Whole pictures with procedural people: a portrait of one, or a scene of several sizes on a cluttered background."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from masking.face.procedural.backdrop import backdrop
from masking.face.procedural.identity import Capture, Identity
from masking.face.procedural.rendering import CANVAS, Rendered, render

# Height; such a face is about 9 px wide.
SMALLEST_FACE_PX = 12.0
CONDITIONS = ("plain", "grey", "dark", "blurred", "jpeg")
_CONDITION_SHARES = (0.6, 0.1, 0.1, 0.1, 0.1)
_FACELESS_SHARE = 0.15
_TRIES = 40


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """One face of a scene: whose it is (index into the people offered), how it was taken, and where it lies in px."""

    person: int
    capture: Capture
    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A picture (h, w, 3) uint8 RGB, its faces, and which of ``CONDITIONS`` it was taken in."""

    pixels: NDArray[np.uint8]
    faces: tuple[Placed, ...]
    condition: str


def portrait(who: Identity, how: Capture, side_px: int) -> Rendered:
    """A square picture of one person, the face about half as high as the picture, on a random background.

    The same person, capture and size give the same pixels.
    """
    rng = np.random.default_rng(how.seed)
    person = render(who, how, side_px / CANVAS)
    picture = laid(backdrop(rng, (side_px, side_px)), person, 0, 0)
    pixels = develop(picture, how.exposure, how.blur * side_px / CANVAS, how.noise, rng)
    return Rendered(pixels, np.ones((side_px, side_px), np.float32), person.box, person.landmarks)


def mosaic(rng: Generator, people: Sequence[Identity], size: tuple[int, int] = (640, 480), most: int = 9) -> Scene:
    """A scene of up to ``most`` of ``people``, from 12 px to half the picture's height, none hiding another's face.

    Some scenes hold nobody at all, so that false alarms can be counted. All people stand in the same light.
    """
    picture = backdrop(rng, size)
    light = Capture.draw(rng)
    wanted = min(0 if rng.random() < _FACELESS_SHARE else int(rng.integers(1, most + 1)), len(people))
    chosen = rng.choice(len(people), wanted, replace=False)
    heights = SMALLEST_FACE_PX * (0.5 * size[1] / SMALLEST_FACE_PX) ** rng.beta(1.4, 1.0, wanted)
    covered = np.zeros((size[1], size[0]), bool)
    placed: list[tuple[Rendered, int, int, Placed]] = []
    for person, height in zip(chosen, np.sort(heights)[::-1], strict=True):
        how = _in_light(Capture.draw(rng, turn=1.25), light)
        rendered = standing(render(people[person], how, float(height)))
        spot = _free_spot(rng, rendered, covered)
        if spot is None:
            continue
        x, y = spot
        shift = np.array([x, y], np.float32)
        face = Placed(int(person), how, rendered.box + np.tile(shift, 2), rendered.landmarks + shift)
        placed.append((rendered, x, y, face))
        _cover(covered, rendered, x, y)
    for rendered, x, y, _ in reversed(placed):  # the far ones first
        picture = laid(picture, rendered, x, y)
    condition = str(rng.choice(CONDITIONS, p=_CONDITION_SHARES))
    picture = _worn(develop(picture, light.exposure, 0.0, light.noise, rng), condition, rng)
    return Scene(picture, tuple(face for *_, face in placed), condition)


def develop(
    picture: NDArray[np.uint8], exposure: float, blur_px: float, noise: float, rng: Generator
) -> NDArray[np.uint8]:
    """What the camera adds: exposure (a factor on linear light), a soft lens and grainy noise in grey levels."""
    taken = picture.astype(np.float32) * np.float32(exposure ** (1 / 2.2))
    if blur_px > 0.2:
        taken = np.asarray(cv2.GaussianBlur(taken, (0, 0), blur_px), np.float32)
    grain = rng.standard_normal(picture.shape[:2], dtype=np.float32)[..., None]
    tint = rng.standard_normal(picture.shape, dtype=np.float32)
    return np.clip(taken + np.float32(noise) * (0.8 * grain + 0.5 * tint) + 0.5, 0, 255).astype(np.uint8)


def standing(person: Rendered) -> Rendered:
    """Give a bust a trunk in the colour of its clothes, getting darker downwards and towards the sides."""
    rows, side = int(1.2 * person.alpha.shape[0]), person.alpha.shape[1]
    worn = np.flatnonzero(person.alpha[-1] > 0.5)
    colour = np.median(person.pixels[-1, worn], 0) if worn.size else np.zeros(3)
    fade = np.linspace(1.0, 0.6, rows)[:, None, None] * np.sin(np.linspace(0.8, np.pi - 0.8, side))[:, None]
    trunk = np.round(fade * colour).astype(np.uint8)
    pixels = np.concatenate([person.pixels, trunk])
    alpha = np.concatenate([person.alpha, np.repeat(person.alpha[-1:], rows, 0)])
    return Rendered(pixels, alpha, person.box, person.landmarks)


def _in_light(how: Capture, light: Capture) -> Capture:
    shared = ("light_azimuth", "light_height", "key", "ambient", "warmth", "exposure", "noise")
    return replace(how, **{name: getattr(light, name) for name in shared})


def _free_spot(rng: Generator, person: Rendered, covered: NDArray[np.bool_]) -> tuple[int, int] | None:
    """Where the whole face lies inside the picture and nobody nearer stands before it; None after some tries."""
    left, top, right, bottom = (int(v) for v in np.round(person.box + np.array([-2, -2, 2, 2], np.float32)))
    height, width = covered.shape
    if right - left >= width or bottom - top >= height:
        return None
    for _ in range(_TRIES):
        x, y = int(rng.integers(-left, width - right)), int(rng.integers(-top, height - bottom))
        if not covered[y + top : y + bottom, x + left : x + right].any():
            return x, y
    return None


def _cover(covered: NDArray[np.bool_], person: Rendered, x: int, y: int) -> None:
    """Mark what a person hides."""
    rows, columns, part = _overlap(covered.shape, person, x, y)
    covered[rows, columns] |= person.alpha[part] > 0.0


def _overlap(shape: tuple[int, ...], person: Rendered, x: int, y: int) -> tuple[slice, slice, tuple[slice, slice]]:
    """Rows and columns of a picture that a canvas at x, y covers, and the part of the canvas that lies inside."""
    high, wide = person.alpha.shape
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + wide, shape[1]), min(y + high, shape[0])
    return slice(y1, y2), slice(x1, x2), (slice(y1 - y, y2 - y), slice(x1 - x, x2 - x))


def laid(picture: NDArray[np.uint8], person: Rendered, x: int, y: int) -> NDArray[np.uint8]:
    """Lay a person over a picture."""
    rows, columns, part = _overlap(picture.shape, person, x, y)
    alpha = person.alpha[part][..., None]
    over = picture.copy()
    mixed = person.pixels[part] * alpha + picture[rows, columns] * (1.0 - alpha)
    over[rows, columns] = np.round(mixed).astype(np.uint8)
    return over


def _worn(picture: NDArray[np.uint8], condition: str, rng: Generator) -> NDArray[np.uint8]:
    """Take the picture again in a worse condition."""
    if condition == "grey":
        return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, -1)
    if condition == "dark":
        return develop(picture, float(rng.uniform(0.1, 0.35)), 0.0, 4.0, rng)
    if condition == "blurred":
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.7, 1.4))), np.uint8)
    if condition == "jpeg":
        quality = int(rng.integers(20, 50))
        worn = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(worn, cv2.IMREAD_COLOR), np.uint8)
    return picture
