"""Surrogates that ship: people drawn from numbers alone, of whom no photo was ever taken."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np

from masking.face.procedural import Capture, Identity, locate, render
from masking.face.surrogates.sprite import Look, Points, Sprite
from masking.face.surrogates.tones import TONES

PEOPLE: Final = 32
YAWS: Final = (0.0, -38.0, 38.0)
"""Degrees, positive to the image's right: few, far apart, so that a head that moves a little keeps its pose."""
SEEN_HIGHER: Final = 0.022
"""How much higher, in heights of a face, a detector finds the landmarks of these people than they were drawn."""
SIZE_PX: Final = 160
"""Height of a face as it is drawn; from there it is scaled, so that there is a bounded number to draw."""
_SEED: Final = 20


class DrawnBank:
    """A bank of `PEOPLE` procedural people in three poses and one light, drawn when first wanted and then kept."""

    @property
    def poses(self) -> Sequence[Points]:
        """Mean landmarks over some of the people."""
        return _poses()

    def sprite(self, draw: int, look: Look) -> Sprite:
        """Give one of the people, of the tone that is to be kept if one is."""
        people = _people()
        chosen = list(range(len(people)))
        if look.tone is not None:
            chosen = [index for index in chosen if people[index].tone == TONES[look.tone]] or chosen
        return _drawn(chosen[draw % len(chosen)], look.pose)


@lru_cache(maxsize=1)
def _people() -> tuple[Identity, ...]:
    rng = np.random.default_rng(_SEED)
    return tuple(Identity.draw(rng) for _ in range(PEOPLE))


@lru_cache(maxsize=1)
def _poses() -> tuple[Points, ...]:
    few = range(0, PEOPLE, 8)
    return tuple(
        np.mean([locate(_people()[index], _capture(index, pose), SIZE_PX) for index in few], 0, dtype=np.float32)
        for pose in range(len(YAWS))
    )


@lru_cache(maxsize=PEOPLE * len(YAWS))
def _drawn(index: int, pose: int) -> Sprite:
    """Draw one person; the same person always wears the same face."""
    drawn = render(_people()[index], _capture(index, pose), SIZE_PX, clothes=False)
    shown = np.round(drawn.pixels * drawn.alpha[..., None])
    pixels = np.concatenate([shown, np.round(255 * drawn.alpha)[..., None]], -1).astype(np.uint8)
    pixels.setflags(write=False)
    higher = np.array([0, SEEN_HIGHER * (drawn.box[3] - drawn.box[1])], np.float32)
    return Sprite(pixels, drawn.box, drawn.landmarks - higher)


def _capture(index: int, pose: int) -> Capture:
    """How a person is shown: with an expression of their own, in the pose that is wanted, lit from the front."""
    return replace(
        Capture.draw(np.random.default_rng([_SEED, index])),
        yaw=YAWS[pose],
        pitch=0.0,
        roll=0.0,
        light_azimuth=0.0,
        light_height=35.0,
        key=0.8,
        ambient=0.5,
        warmth=0.02,
        exposure=1.0,
    )
