"""The head as a surface: an ellipsoid with a jaw, on which brow, eye sockets, nose, cheeks, lips and hair are raised.

Axes: x to the image's right, y down, z towards the viewer; the head reaches from y = -1 to y = 1.
"""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.face.procedural.identity import Capture, Identity

Array = NDArray[np.float32]
Values = NDArray[np.floating[Any]]

ROWS, COLUMNS = 200, 224


def smoothstep(low: float | Array, high: float | Array, value: Values) -> Array:
    """Rise smoothly from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def gentle(low: float, high: float, value: float) -> float:
    """`smoothstep` of one number."""
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


def bump(x: Values, y: Values, at: tuple[float, float], spread: tuple[float, float]) -> Array:
    """A Gaussian hill of height 1."""
    return np.asarray(np.exp(-0.5 * (((x - at[0]) / spread[0]) ** 2 + ((y - at[1]) / spread[1]) ** 2)), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The parameters of the surface, (ROWS, COLUMNS) float32: longitude (0 is the face, radians) and unit height."""

    longitude: Array
    height: Array
    profile: Array


@lru_cache(maxsize=1)
def grid() -> Grid:
    """The grid of the head: its lines lie closer on the face than on the back of the head."""
    u = np.linspace(-1.0, 1.0, COLUMNS, dtype=np.float32)[None, :]
    polar = np.linspace(0.015, np.pi - 0.015, ROWS, dtype=np.float32)[:, None]
    longitude = np.broadcast_to(np.float32(np.pi) * (0.55 * u + 0.45 * u**3), (ROWS, COLUMNS)).astype(np.float32)
    height = np.broadcast_to(-np.cos(polar), (ROWS, COLUMNS)).astype(np.float32)
    power = np.where(height < 0, 0.78, 0.66).astype(np.float32)  # a rounder crown, a blunter chin
    return Grid(longitude, height, (np.sin(polar) ** power).astype(np.float32))


def noise(rng: np.random.Generator, cells: tuple[int, int], shape: tuple[int, int] = (ROWS, COLUMNS)) -> Array:
    """Value noise of about unit variance: random cells, smoothly enlarged."""
    small = rng.standard_normal(cells, dtype=np.float32)
    return np.asarray(cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The surface of one head with one expression.

    Attributes:
        points: (ROWS, COLUMNS, 3) float32.
        x, y: frontal coordinates before features were raised, in which features are placed and painted.
        front: 1 on the face, 0 from the ears backwards.
        hair: share of hair on the scalp.
        cavity: how deep a point lies below its surroundings; negative on ridges.
        strands: noise along the hair's direction, about [-2, 2].
    """

    points: Array
    x: Array
    y: Array
    front: Array
    hair: Array
    cavity: Array
    strands: Array

    def between(self, top: float, bottom: float) -> tuple[slice, slice]:
        """The window of the grid that holds the front of the head between two heights."""
        rows = np.flatnonzero((self.y[:, 0] > top) & (self.y[:, 0] < bottom))
        columns = np.flatnonzero(self.front[0] > 0.0)
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

    def part(self, window: tuple[slice, slice]) -> "Head":
        """What lies in a window of the grid."""
        return Head(*(getattr(self, f.name)[window] for f in fields(self)))


def build_head(who: Identity, how: Capture) -> Head:
    """Raise the features of ``who``, with the expression of ``how``, on an ellipsoid."""
    g = grid()
    rng = np.random.default_rng(who.grain)
    front = smoothstep(-0.05, 0.45, np.cos(g.longitude))
    x, y, z = _skull(who, g)
    strands = 0.6 * noise(rng, (6, 150)) + 0.5 * noise(rng, (18, 90))
    hair = _hair_share(who, g, y)
    raised = front * (_bones(who, how, x, y) + _nose(who, x, y) + _mouth(who, how, x, y))
    cavity = np.asarray(cv2.GaussianBlur(raised, (0, 0), 6) - raised, np.float32)
    lift = _hair_lift(who, rng, hair, strands)
    jaw = 0.09 * max(how.mouth_open, 0.0) * front * smoothstep(who.mouth_y, 0.95, y)
    below = smoothstep(0.2, 1.0, y)
    points = np.stack(
        [
            x * (1.0 + lift + 0.02 * max(how.smile, 0.0) * bump(x, y, (0.0, 0.45), (9.0, 0.2))),
            y * (1.0 + lift) + jaw + who.chin_length * below,
            z * (1.0 + lift) + raised,
        ],
        axis=-1,
    )
    return Head(points, x, y, front, hair, cavity, strands)


def _skull(who: Identity, g: Grid) -> tuple[Array, Array, Array]:
    """The bare ellipsoid with its jaw: narrower and further forward below, cut away behind."""
    below = smoothstep(0.05, 1.0, g.height)
    width = who.head_width * g.profile * (1.0 - (1.0 - who.jaw_width) * below)
    width += who.cheekbone * 0.5 * bump(g.longitude, g.height, (0.0, 0.2), (9.0, 0.16))
    cosine = np.cos(g.longitude)
    depth = who.head_depth * g.profile * np.where(cosine < 0, 1.0 - 0.45 * smoothstep(0.2, 1.0, g.height), 1.0)
    forward = 0.26 * smoothstep(-0.2, 1.0, g.height)
    flat = 1.0 - 0.07 * smoothstep(0.3, 1.0, cosine)  # a face is flatter than an egg
    return width * np.sin(g.longitude), g.height.copy(), depth * cosine * flat + forward


def _bones(who: Identity, how: Capture, x: Array, y: Array) -> Array:
    side = np.abs(x)
    ey, ex = who.eye_y, who.eye_spacing
    brow = ey - who.brow_gap
    bones = (
        (0.015 + who.brow_ridge) * bump(side, y, (ex * 0.85, brow), (0.17, 0.06))
        - 0.085 * bump(side, y, (ex * 0.95, ey + 0.01), (0.13, 0.085))
        + 0.045 * bump(side, y, (ex, ey), (0.075, 0.055))
        - 0.03 * bump(side, y, (0.10, ey - 0.02), (0.05, 0.07))
        + (0.025 + who.cheekbone + 0.02 * max(how.smile, 0.0)) * bump(side, y, (0.36, ey + 0.25), (0.13, 0.10))
        + who.cheek_fullness * bump(side, y, (0.40, 0.52), (0.14, 0.16))
        - (0.008 + 0.02 * who.age + 0.012 * max(how.smile, 0.0))
        * bump(side - 0.24 - 0.35 * (y - who.nose_y - 0.1), y, (0.0, who.nose_y + 0.12), (0.02, 0.11))
    )
    return np.asarray(bones, np.float32)


def _nose(who: Identity, x: Array, y: Array) -> Array:
    side = np.abs(x)
    top, tip = who.eye_y - 0.06, who.nose_y
    along = np.clip((y - top) / (tip - top), 0.0, 1.0)
    rise = who.nose_bridge + (who.nose_forward - who.nose_bridge) * along**1.6
    spread = 0.042 + 0.45 * (who.nose_width - 0.05) * along**1.5
    length = smoothstep(top - 0.12, top + 0.1, y) * (1.0 - smoothstep(tip - 0.005, tip + 0.085, y))
    ridge = rise * np.exp(-0.5 * (x / spread) ** 2) * length
    wings = 0.45 * who.nose_forward * bump(side, y, (who.nose_width * 0.78, tip), (0.036, 0.045))
    return np.asarray(ridge + wings, np.float32)


def _mouth(who: Identity, how: Capture, x: Array, y: Array) -> Array:
    my, width = who.mouth_y, who.mouth_width
    across = np.exp(-0.5 * (x / (0.62 * width)) ** 2)
    lip = (
        0.030 * np.exp(-0.5 * ((y - my + who.upper_lip * 0.6) / (0.55 * who.upper_lip + 0.008)) ** 2)
        + 0.036 * np.exp(-0.5 * ((y - my - who.lower_lip * 0.6) / (0.55 * who.lower_lip + 0.008)) ** 2)
        - 0.030 * np.exp(-0.5 * ((y - my) / 0.014) ** 2)
    )
    mouth = (
        0.05 * bump(x, y, (0.0, my), (0.24, 0.17))
        + across * lip
        - 0.028 * bump(x, y, (0.0, my + 0.16), (0.16, 0.035))
        + (0.04 + who.chin_forward) * bump(x, y, (0.0, my + 0.29), (0.13, 0.09))
        - 0.012 * bump(x, y, (0.0, my - 0.11), (0.022, 0.05))
        - 0.05 * max(how.mouth_open, 0.0) * bump(x, y, (0.0, my), (0.5 * width, 0.04))
    )
    return np.asarray(mouth, np.float32)


HAIRLINES: dict[str, tuple[float, ...]] = {
    # Height of the edge of the hair at longitudes 0, 25, 45, 60, 75, 90, 105, 130 and 180 degrees, from the hairline.
    "short": (0.0, 0.02, 0.04, 0.14, 0.50, 0.62, 0.72, 1.05, 1.15),
    "fringe": (0.26, 0.25, 0.22, 0.26, 0.55, 0.66, 0.76, 1.1, 1.2),
    "curly": (0.02, 0.03, 0.05, 0.16, 0.52, 0.64, 0.74, 1.1, 1.2),
    "receding": (-0.10, -0.22, -0.16, 0.06, 0.44, 0.58, 0.70, 1.0, 1.1),
    "long": (-0.02, 0.0, 0.06, 0.2, 0.62, 0.9, 1.1, 1.3, 1.4),
    "bald": (-0.4, -0.4, -0.4, -0.35, -0.1, 0.1, 0.3, 0.55, 0.6),
}
_ANGLES = np.radians([0, 25, 45, 60, 75, 90, 105, 130, 180])


def _hair_share(who: Identity, g: Grid, y: Array) -> Array:
    edge = np.interp(np.abs(g.longitude[0]), _ANGLES, np.add(who.hairline, HAIRLINES[who.hair_style]))
    wave = np.random.default_rng(who.grain + 1).standard_normal(14).astype(np.float32)
    waved = 0.022 * np.interp(g.longitude[0], np.linspace(-np.pi, np.pi, 14), wave)
    line = (edge + waved).astype(np.float32)[None, :]
    return 1.0 - smoothstep(line - 0.035, line + 0.02, y)


def _hair_lift(who: Identity, rng: np.random.Generator, hair: Array, strands: Array) -> Array:
    volume = who.hair_volume * {"curly": 1.4, "bald": 0.12, "receding": 0.6, "long": 0.8}.get(who.hair_style, 1.0)
    soft = cv2.GaussianBlur(hair, (0, 0), 4) * hair
    lift = volume * soft * (1.0 + 0.12 * strands)
    if who.hair_style == "curly":
        lift = lift + 0.028 * soft * noise(rng, (48, 72))
    return np.asarray(lift, np.float32)
