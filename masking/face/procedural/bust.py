"""What is beside the face: neck, shoulders, ears, long hair and glasses, each a patch of surface."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from masking.face.procedural.colour import clothes_colour, hair_colour, rgb, skin_colour
from masking.face.procedural.head import Array, noise, smoothstep
from masking.face.procedural.identity import Capture, Identity


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A piece of surface.

    Attributes:
        points: (rows, columns, 3) float32, in half heads.
        colour: (rows, columns, 3) float32, linear reflectance.
        gloss: strength of its highlight, one figure or (rows, columns).
        turns: share of the head's rotation that it follows: 1 on the head, less on the body.
        convex: whether it bulges outwards, so that what faces away is hidden; a sheet is seen from both sides.
    """

    points: Array
    colour: Array
    gloss: Array | float = 0.1
    turns: float = 1.0
    convex: bool = True


@lru_cache(maxsize=8)
def _angles(rows: int, columns: int, low: float, high: float) -> tuple[Array, Array]:
    """A unit parameter downwards and an angle across."""
    down = np.linspace(0.0, 1.0, rows, dtype=np.float32)[:, None]
    across = np.linspace(low, high, columns, dtype=np.float32)[None, :]
    return np.repeat(down, columns, 1), np.repeat(across, rows, 0)


def _flat(colour: Array, share: Array) -> Array:
    return np.asarray(colour * share[..., None], np.float32)


def neck(who: Identity) -> Patch:
    """A column under the jaw, darker where the jaw keeps the light away."""
    t, a = _angles(40, 64, -np.pi, np.pi)
    radius = who.head_width * (0.66 + 0.25 * smoothstep(0.5, 1.0, t))
    points = np.stack([radius * np.sin(a), 0.35 + 1.25 * t, 0.92 * radius * np.cos(a) - 0.18 - 0.1 * t], -1)
    shade = 0.42 + 0.5 * smoothstep(0.45, 0.95, t)
    return Patch(points.astype(np.float32), _flat(skin_colour(who) * np.float32(0.92), shade), 0.05, turns=0.35)


def shoulders(who: Identity, how: Capture) -> Patch:
    """Half an egg lying across, in the colour of the clothes, with folds and a neckline."""
    t, a = _angles(56, 120, -np.pi, np.pi)
    polar = np.float32(np.pi * 0.72) * t + np.float32(0.16)
    wide = 0.92 + 1.05 * who.head_width
    x, z = wide * np.sin(polar) * np.sin(a), 0.62 * np.sin(polar) * np.cos(a) - 0.22
    y = 2.04 - 1.02 * np.cos(polar) * (1.0 - 0.14 * np.abs(x) / wide)
    folds = noise(np.random.default_rng(how.seed), (7, 26), t.shape)
    collar = 1.0 - 0.35 * np.exp(-0.5 * ((t - 0.1) / 0.035) ** 2)
    points = np.stack([x, y, z + 0.012 * folds], -1)
    return Patch(points.astype(np.float32), _flat(clothes_colour(how), (1 + 0.08 * folds) * collar), 0.02, turns=0.25)


def ear(who: Identity, sign: float) -> Patch:
    """A flat egg beside the head with a darker bowl; ``sign`` is -1 at the image's left."""
    t, a = _angles(30, 48, -np.pi, np.pi)
    polar = np.float32(np.pi) * t
    along, out = np.sin(polar) * np.cos(a), np.sin(polar) * np.sin(a)
    size = who.ear_size
    lobe = 1.0 - 0.22 * smoothstep(0.4, 1.0, t)
    x = sign * (who.head_width * 0.985 + size * (0.055 * out + 0.03 * along * lobe * -1.0))
    y = 0.05 + who.eye_height * 0.5 - size * 0.19 * np.cos(polar)
    z = -0.02 + size * 0.105 * along * lobe - 0.05 * (0.5 - t)
    bowl = 1.0 - 0.5 * np.exp(-0.5 * (((t - 0.45) / 0.2) ** 2 + ((along - 0.2) / 0.4) ** 2)) * (out > 0)
    points = np.stack([x, y, z], -1)
    red = skin_colour(who) * np.array([1.0, 0.86, 0.84], np.float32)
    return Patch(points.astype(np.float32), _flat(red, bowl), 0.05)


def long_hair(who: Identity) -> Patch:
    """A curtain around the back and the sides of the head, open in front."""
    t, a = _angles(90, 150, np.radians(62.0), np.radians(298.0))
    rng = np.random.default_rng(who.grain + 4)
    strands = 0.6 * noise(rng, (5, 110), t.shape) + 0.5 * noise(rng, (14, 80), t.shape)
    fall = 0.75 + 1.05 * (who.grain % 97) / 97.0
    bell = np.sin(np.pi * np.clip(0.28 + 0.5 * t, 0, 1)) ** 0.6
    wave = 1.0 + 0.025 * strands + 0.04 * np.sin(9.0 * t + 3.0 * a)
    radius = (who.head_width + 0.05 + 0.8 * who.hair_volume) * bell * wave
    ends = t * (1.0 + 0.05 * strands)
    points = np.stack([radius * np.sin(a), -0.72 + (0.9 + fall) * ends, 1.12 * radius * np.cos(a) - 0.02], -1)
    colour = hair_colour(who) * np.exp(0.25 * strands)[..., None] * (0.9 - 0.25 * t[..., None])
    return Patch(points.astype(np.float32), colour.astype(np.float32), 0.12, turns=0.85, convex=False)


def glasses(who: Identity, front: float) -> list[Patch]:
    """Two rims and their temples; ``front`` is the depth of the eyes' surface."""
    square = 2.0 + 2.5 * (who.grain % 13) / 13.0
    wide, high = who.eye_width * 1.32, 0.118
    a = np.linspace(-np.pi, np.pi, 160, dtype=np.float32)
    power = 2.0 / square
    rim_x = wide * np.sign(np.cos(a)) * np.abs(np.cos(a)) ** power
    rim_y = high * np.sign(np.sin(a)) * np.abs(np.sin(a)) ** power
    dark = rgb(24, 22, 26) if who.grain % 3 else rgb(120, 84, 40)
    y = who.eye_y + 0.015
    lines = [np.stack([s * who.eye_spacing + rim_x, y + rim_y, np.full_like(a, front + 0.10)], -1) for s in (-1, 1)]
    t = np.linspace(0.0, 1.0, 80, dtype=np.float32)
    gap = who.eye_spacing - wide
    lines.append(np.stack([gap * (2 * t - 1), y - 0.03 - 0.03 * np.sin(np.pi * t), np.full_like(t, front + 0.11)], -1))
    edge = who.eye_spacing + wide
    for s in (-1, 1):
        x = s * (edge + (who.head_width * 1.02 - edge) * t**0.4)
        lines.append(np.stack([x, np.full_like(t, y - 0.03), front + 0.10 - (front + 0.12) * t], -1))
    return [_wire(np.asarray(line, np.float32), 0.011 + 0.010 * (who.grain % 7) / 7.0, dark) for line in lines]


def _wire(line: Array, radius: float, colour: Array) -> Patch:
    """A band of the given half width along a line of points."""
    across = np.linspace(-radius, radius, 4, dtype=np.float32)[:, None, None]
    away = line - line.mean(0, keepdims=True)
    away[:, 2] = 0.0
    straight = np.ptp(line[:, 1]) < 0.1
    unit = np.array([0, 1, 0], np.float32) if straight else away / (np.linalg.norm(away, axis=1, keepdims=True) + 1e-6)
    points = (line[None] + across * unit).astype(np.float32)
    return Patch(points, np.broadcast_to(colour, points.shape).astype(np.float32), 0.5, convex=False)
