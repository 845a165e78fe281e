"""Moving pictures of procedural people, in shots with a cut between, with the exact place of every face."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from masking.face.procedural.backdrop import backdrop
from masking.face.procedural.identity import Capture, Identity
from masking.face.procedural.rendering import Rendered, render
from masking.face.procedural.scene import develop, laid, standing

FACE_SHARE: Final = (0.1, 0.4)
"""Heights of faces, in heights of the picture."""
POSE_EVERY: Final = 4
"""Frames for which a head keeps its pose; it moves and sways in every one."""
SEEN: Final = 0.6
"""A face counts in the frames in which so much of its box is inside the picture and behind nobody."""
NOISE: Final = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One frame: (h, w, 3) uint8 RGB, the boxes (n, 4) float32 of its faces in px, and whose each is (n,).

    A person who comes again after a cut has another number: whoever follows faces cannot know better.
    """

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    owners: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class _Walk:
    """How one person moves through a shot of ``frames``: from and to are middles of the face in px."""

    who: Identity
    start: Capture
    end: Capture
    height: float
    path: NDArray[np.float64]
    sway: float
    frames: int

    def pose(self, index: int) -> Rendered:
        share = index // POSE_EVERY * POSE_EVERY / self.frames
        turned = {
            angle: (1 - share) * getattr(self.start, angle) + share * getattr(self.end, angle)
            for angle in ("yaw", "pitch", "roll", "smile", "mouth_open")
        }
        return standing(render(self.who, replace(self.start, **turned), self.height))

    def middle(self, index: int) -> NDArray[np.float64]:
        share = index / max(self.frames - 1, 1)
        bob = np.array([self.sway * np.sin(index / 5), 0.5 * self.sway * np.sin(index / 3)])
        place: NDArray[np.float64] = (1 - share) * self.path[0] + share * self.path[1] + bob
        return place


def clip(
    rng: Generator, people: Sequence[Identity], *, size: tuple[int, int] = (640, 360), shots: int = 2, frames: int = 30
) -> Iterator[Moment]:
    """Film one to three of ``people`` in each of ``shots``, who walk, turn their heads, come in and leave.

    Args:
        rng: Draws all of it.
        people: Who may be seen.
        size: Width and height in px.
        shots: Takes with a hard cut between.
        frames: Frames of each.
    """
    for shot in range(shots):
        wall = backdrop(rng, size)
        chosen = rng.choice(len(people), min(int(rng.integers(1, 4)), len(people)), replace=False)
        walks = [_walk(rng, people[index], size, frames) for index in chosen]
        # Far ones first, so that near ones hide them.
        walks.sort(key=lambda walk: walk.height)
        light = Capture.draw(rng)
        yield from _shot(rng, wall, [_lit(walk, light) for walk in walks], frames, shot * len(people))


def _walk(rng: Generator, who: Identity, size: tuple[int, int], frames: int) -> _Walk:
    width, height = size
    face = height * float(rng.uniform(*FACE_SHARE))
    # Some start or end outside, and so come in or leave.
    across = rng.uniform(-0.1, 1.1, 2) * width
    if abs(across[1] - across[0]) > frames * face / 12:
        across[1] = across[0] + np.sign(across[1] - across[0]) * frames * face / 12
    down = np.clip(rng.uniform(0.25, 0.7, 2) * height, face * 0.6, None)
    path = np.stack([across, [down[0], down[0] + np.clip(down[1] - down[0], -0.1 * height, 0.1 * height)]], axis=1)
    return _Walk(who, Capture.draw(rng), Capture.draw(rng), face, path, face * float(rng.uniform(0.0, 0.06)), frames)


def _lit(walk: _Walk, light: Capture) -> _Walk:
    shared = ("light_azimuth", "light_height", "key", "ambient", "warmth")
    return replace(walk, start=replace(walk.start, **{name: getattr(light, name) for name in shared}))


def _shot(
    rng: Generator, wall: NDArray[np.uint8], walks: Sequence[_Walk], frames: int, first_owner: int
) -> Iterator[Moment]:
    drawn: list[Rendered] = []
    for index in range(frames):
        if index % POSE_EVERY == 0:
            drawn = [walk.pose(index) for walk in walks]
        picture, boxes, owners = wall, [], []
        hidden = np.zeros((len(walks), *wall.shape[:2]), bool)
        for number, (walk, person) in enumerate(zip(walks, drawn, strict=True)):
            moved, x, y = _moved(person, walk.middle(index))
            if not _beyond(moved, x, y, wall.shape):
                picture = laid(picture, moved, x, y)
            hidden[:number] |= _mask(moved, x, y, wall.shape)
            boxes.append(moved.box + np.tile(np.array([x, y], np.float32), 2))
            owners.append(first_owner + number)
        seen = [_seen(box, cover) >= SEEN for box, cover in zip(boxes, hidden, strict=True)]
        shown = develop(picture, 1.0, 0.0, NOISE, rng)
        yield Moment(shown, np.array(boxes, np.float32)[seen], np.array(owners, np.intp)[seen])


def _moved(person: Rendered, middle: NDArray[np.float64]) -> tuple[Rendered, int, int]:
    """Give a person shifted by a part of a pixel, and where its canvas goes in whole ones."""
    corner = middle - (person.box[:2] + person.box[2:]) / 2
    whole = np.floor(corner)
    part = (corner - whole).astype(np.float32)
    size = (person.alpha.shape[1], person.alpha.shape[0])
    matrix = np.array([[1, 0, part[0]], [0, 1, part[1]]], np.float32)
    alpha = np.asarray(cv2.warpAffine(person.alpha, matrix, size), np.float32)
    pixels = np.asarray(cv2.warpAffine(person.pixels, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
    moved = Rendered(pixels, alpha, person.box + np.tile(part, 2), person.landmarks + part)
    return moved, int(whole[0]), int(whole[1])


def _beyond(person: Rendered, x: int, y: int, shape: tuple[int, ...]) -> bool:
    """Whether nothing of a person is in the picture."""
    return min(x + person.alpha.shape[1], y + person.alpha.shape[0]) <= 0 or x >= shape[1] or y >= shape[0]


def _mask(person: Rendered, x: int, y: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where a person hides what is behind: (h, w) of the picture."""
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    alpha = cv2.warpAffine(person.alpha, matrix, (shape[1], shape[0]), flags=cv2.INTER_NEAREST)
    return np.asarray(np.asarray(alpha) > 0.5, np.bool_)


def _seen(box: NDArray[np.float32], hidden: NDArray[np.bool_]) -> float:
    """Share of a box that lies inside the picture and is not hidden."""
    height, width = hidden.shape
    x1, y1, x2, y2 = (round(float(side)) for side in box)
    area = max((x2 - x1) * (y2 - y1), 1)
    inside = hidden[max(y1, 0) : max(min(y2, height), 0), max(x1, 0) : max(min(x2, width), 0)]
    return float((~inside).sum()) / area
