"""What stands behind people: walls, noise, boxes, lines, plants, and round things that are no faces."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]


def backdrop(rng: Generator, size: tuple[int, int]) -> Picture:
    """Draw a background of ``size`` (width, height) px: RGB uint8, with clutter but without any face."""
    picture = _wall(rng, size)
    parts = [_box, _line, _plant, _ball, _clock, _window, _sign]
    for part in rng.choice(len(parts), int(rng.integers(3, 14))):
        parts[part](rng, picture)
    if rng.random() < 0.5:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 2.0))), np.uint8)
    return picture


def _colour(rng: Generator, low: int = 10, high: int = 245) -> Colour:
    """A colour, more often dull than bright."""
    grey = rng.uniform(low, high)
    red, green, blue = np.clip(grey + rng.normal(0.0, rng.choice([0.05, 0.16]) * (high - low), 3), 0, 255)
    return int(red), int(green), int(blue)


def _shaded(colour: Colour, factor: float) -> Colour:
    red, green, blue = (int(min(255, c * factor)) for c in colour)
    return red, green, blue


def _wall(rng: Generator, size: tuple[int, int]) -> Picture:
    """A gradient between two colours with value noise of several sizes."""
    width, height = size
    corners = np.array([[_colour(rng), _colour(rng)], [_colour(rng), _colour(rng)]], np.float32)
    wall = cv2.resize(0.5 * corners + 0.5 * corners.mean((0, 1)), size, interpolation=cv2.INTER_LINEAR)
    for cell, strength in ((64, 10.0), (16, 6.0), (5, 4.0), (2, 3.0)):
        cells = (max(2, height // cell), max(2, width // cell))
        small = rng.standard_normal(cells, dtype=np.float32) * np.float32(strength * rng.uniform(0.2, 1.6))
        wall += cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)[..., None]
    return np.asarray(np.clip(wall, 0, 255), np.uint8)


def _spot(rng: Generator, picture: Picture) -> tuple[int, int, int]:
    """Somewhere in the picture, and a length that suits its size."""
    height, width = picture.shape[:2]
    return int(rng.integers(width)), int(rng.integers(height)), int(height * rng.uniform(0.04, 0.22)) + 3


def _box(rng: Generator, picture: Picture) -> None:
    x, y, unit = _spot(rng, picture)
    w, h = int(unit * rng.uniform(0.5, 3.0)), int(unit * rng.uniform(0.5, 2.5))
    colour = _colour(rng)
    cv2.rectangle(picture, (x, y), (x + w, y + h), colour, -1)
    cv2.rectangle(picture, (x, y), (x + w, y + max(1, h // 6)), _shaded(colour, 1.25), -1)
    cv2.rectangle(picture, (x, y), (x + w, y + h), _shaded(colour, 0.6), 1)


def _line(rng: Generator, picture: Picture) -> None:
    height, width = picture.shape[:2]
    ends = [(int(rng.integers(width)), int(rng.integers(height))) for _ in range(2)]
    cv2.line(picture, ends[0], ends[1], _colour(rng), int(rng.integers(1, 5)), cv2.LINE_AA)


def _plant(rng: Generator, picture: Picture) -> None:
    x, y, unit = _spot(rng, picture)
    for _ in range(int(rng.integers(15, 70))):
        angle, reach = rng.uniform(-np.pi, 0.2), unit * rng.uniform(0.2, 1.6)
        at = (int(x + reach * np.cos(angle)), int(y + reach * np.sin(angle)))
        green = (int(rng.uniform(15, 110)), int(rng.uniform(60, 190)), int(rng.uniform(10, 80)))
        axes = (max(1, int(unit * rng.uniform(0.1, 0.3))), max(1, int(unit * rng.uniform(0.04, 0.1))))
        cv2.ellipse(picture, at, axes, np.degrees(angle), 0, 360, green, -1, cv2.LINE_AA)


def _ball(rng: Generator, picture: Picture) -> None:
    x, y, unit = _spot(rng, picture)
    colour = _colour(rng, 40, 230)
    for step in np.linspace(0.0, 1.0, 9):
        at = (int(x - 0.25 * step * unit), int(y - 0.3 * step * unit))
        radius = max(1, int(0.5 * unit * (1.0 - 0.85 * step)))
        cv2.circle(picture, at, radius, _shaded(colour, 0.55 + 0.8 * float(step)), -1, cv2.LINE_AA)


def _clock(rng: Generator, picture: Picture) -> None:
    x, y, unit = _spot(rng, picture)
    radius, ink = max(3, unit // 2), _colour(rng, 0, 70)
    cv2.circle(picture, (x, y), radius, _colour(rng, 170, 250), -1, cv2.LINE_AA)
    cv2.circle(picture, (x, y), radius, ink, max(1, radius // 9), cv2.LINE_AA)
    hands = [(float(rng.uniform(0, 2 * np.pi)), 0.0, share) for share in (0.5, 0.75)]
    for angle, start, end in hands + [(hour * np.pi / 6, 0.8, 0.92) for hour in range(12)]:
        ends = [(int(x + radius * r * np.sin(angle)), int(y - radius * r * np.cos(angle))) for r in (start, end)]
        cv2.line(picture, ends[0], ends[1], ink, 1, cv2.LINE_AA)


def _window(rng: Generator, picture: Picture) -> None:
    x, y, unit = _spot(rng, picture)
    pane, frame = _colour(rng, 90, 250), _colour(rng)
    for row in range(int(rng.integers(1, 4))):
        for column in range(int(rng.integers(1, 5))):
            at = (x + column * unit // 2, y + row * unit // 2)
            end = (at[0] + unit // 2 - 2, at[1] + unit // 2 - 2)
            cv2.rectangle(picture, at, end, pane, -1)
            cv2.rectangle(picture, at, end, frame, max(1, unit // 20))


def _sign(rng: Generator, picture: Picture) -> None:
    x, y, unit = _spot(rng, picture)
    cv2.rectangle(picture, (x, y), (x + 3 * unit, y + unit), _colour(rng, 120, 250), -1)
    letters = "".join(rng.choice(list("ABCDEHKLMNRSTUX0123456789"), 6))
    cv2.putText(
        picture, letters, (x + unit // 5, y + int(0.75 * unit)), 2, unit / 40, _colour(rng, 0, 90), 1, cv2.LINE_AA
    )
