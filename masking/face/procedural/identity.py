"""What tells one procedural person from another, and what changes between two pictures of one person.

Lengths are in half heads: the head reaches from y = -1 (top) to y = 1 (chin), x grows to the image's right and z
towards the viewer. Shares are in [0, 1].
"""

from dataclasses import dataclass, field, fields
from typing import Any, Self

from numpy.random import Generator

GRAIN_SEEDS = 2**31


def _trait(low: float, high: float) -> Any:  # noqa: ANN401 - a dataclass field stands where a float is declared
    """Declare a trait that is drawn from ``low`` to ``high``, the middle more often than the ends."""
    return field(metadata={"low": low, "high": high})


def _draw(cls: type, rng: Generator) -> dict[str, float]:
    """Draw every trait of a class, in the order in which they are declared."""
    ranges = [(f.name, f.metadata["low"], f.metadata["high"]) for f in fields(cls) if f.metadata]
    return {name: float(low + (high - low) * rng.beta(1.6, 1.6)) for name, low, high in ranges}


@dataclass(frozen=True, slots=True)
class Identity:
    """One person who does not exist: the traits that stay the same in every picture of them.

    ``hair_style`` is one of ``HAIR_STYLES``; ``grain`` seeds freckles, moles and strands that are this person's own.
    """

    head_width: float = _trait(0.63, 0.76)
    head_depth: float = _trait(0.80, 0.90)
    jaw_width: float = _trait(0.66, 0.98)
    chin_length: float = _trait(-0.03, 0.06)
    chin_forward: float = _trait(0.0, 0.08)
    cheekbone: float = _trait(0.0, 0.06)
    cheek_fullness: float = _trait(-0.035, 0.045)
    brow_ridge: float = _trait(0.0, 0.05)
    eye_spacing: float = _trait(0.245, 0.315)
    eye_height: float = _trait(-0.06, 0.05)
    eye_width: float = _trait(0.115, 0.152)
    eye_opening: float = _trait(0.044, 0.076)
    eye_tilt: float = _trait(-0.16, 0.20)
    eye_fold: float = _trait(0.0, 1.0)
    iris_shade: float = _trait(0.0, 1.0)
    brow_thickness: float = _trait(0.016, 0.046)
    brow_gap: float = _trait(0.10, 0.155)
    brow_arch: float = _trait(0.0, 0.05)
    brow_tilt: float = _trait(-0.20, 0.14)
    brow_length: float = _trait(0.14, 0.19)
    nose_length: float = _trait(0.32, 0.46)
    nose_width: float = _trait(0.10, 0.17)
    nose_forward: float = _trait(0.14, 0.27)
    nose_bridge: float = _trait(0.02, 0.10)
    mouth_gap: float = _trait(0.17, 0.235)
    mouth_width: float = _trait(0.18, 0.265)
    upper_lip: float = _trait(0.030, 0.068)
    lower_lip: float = _trait(0.042, 0.086)
    lip_redness: float = _trait(0.1, 1.0)
    melanin: float = _trait(0.0, 1.0)
    undertone: float = _trait(-1.0, 1.0)
    freckles: float = _trait(0.0, 1.0)
    age: float = _trait(0.0, 1.0)
    hair_shade: float = _trait(0.0, 1.0)
    hair_redness: float = _trait(0.0, 1.0)
    hairline: float = _trait(-0.76, -0.52)
    hair_volume: float = _trait(0.03, 0.13)
    beard: float = _trait(-1.4, 1.0)
    ear_size: float = _trait(0.8, 1.2)
    glasses: float = _trait(-1.0, 1.0)
    hair_style: str = "short"
    grain: int = 0

    @classmethod
    def draw(cls, rng: Generator) -> Self:
        """Draw one person."""
        traits = _draw(cls, rng)
        traits["melanin"] = float(rng.random())
        traits["hair_shade"] *= 1.0 - 0.85 * traits["melanin"]  # fair hair goes with fair skin
        style = str(rng.choice(HAIR_STYLES, p=(0.36, 0.14, 0.14, 0.10, 0.18, 0.08)))
        if style == "long":
            traits["beard"] = -1.0
        return cls(**traits, hair_style=style, grain=int(rng.integers(GRAIN_SEEDS)))

    @property
    def tone(self) -> str:
        """The skin tone in three bands, by which results are sliced: ``light``, ``medium`` or ``dark``."""
        return ("light", "medium", "dark")[min(int(self.melanin * 3), 2)]

    @property
    def eye_y(self) -> float:
        """Height of the eyes."""
        return self.eye_height

    @property
    def nose_y(self) -> float:
        """Height of the tip of the nose."""
        return self.eye_height + self.nose_length

    @property
    def mouth_y(self) -> float:
        """Height of the line between the lips."""
        return self.nose_y + self.mouth_gap


HAIR_STYLES = ("short", "fringe", "curly", "receding", "long", "bald")


@dataclass(frozen=True, slots=True)
class Capture:
    """One picture: pose in degrees, light, expression, clothes, and what the camera adds.

    Positive ``yaw`` turns the face to the image's right, positive ``pitch`` down, positive ``roll`` clockwise.
    ``light_azimuth`` is 0 from the front and positive from the image's right; ``light_height`` is positive from above.
    People change clothes between pictures: whoever is told by them is not told by the face.
    ``warmth`` is positive for warm light. ``blur`` is in shares of a face height; ``noise`` in grey levels.
    """

    yaw: float = _trait(-32.0, 32.0)
    pitch: float = _trait(-16.0, 18.0)
    roll: float = _trait(-14.0, 14.0)
    light_azimuth: float = _trait(-75.0, 75.0)
    light_height: float = _trait(0.0, 60.0)
    key: float = _trait(0.55, 1.15)
    ambient: float = _trait(0.28, 0.62)
    warmth: float = _trait(-0.13, 0.17)
    exposure: float = _trait(0.72, 1.2)
    smile: float = _trait(-0.25, 1.0)
    mouth_open: float = _trait(-0.9, 0.8)
    eye_open: float = _trait(0.62, 1.25)
    brow_raise: float = _trait(-0.02, 0.035)
    gaze_x: float = _trait(-1.0, 1.0)
    gaze_y: float = _trait(-0.5, 0.5)
    clothes_hue: float = _trait(0.0, 1.0)
    clothes_shade: float = _trait(0.05, 0.9)
    blur: float = _trait(0.0, 0.016)
    noise: float = _trait(0.5, 4.0)
    seed: int = 0

    @classmethod
    def draw(cls, rng: Generator, *, turn: float = 1.0) -> Self:
        """Draw one picture's circumstances; ``turn`` stretches the range of the head's rotation."""
        traits = _draw(cls, rng)
        for angle in ("yaw", "pitch", "roll"):
            traits[angle] *= turn
        return cls(**traits, seed=int(rng.integers(GRAIN_SEEDS)))

    @property
    def light(self) -> str:
        """The light in three bands, by which results are sliced: ``side``, ``dim`` or ``even``."""
        if abs(self.light_azimuth) > 45 and self.ambient < 0.45:
            return "side"
        return "dim" if self.exposure * (self.key + self.ambient) < 1.05 else "even"
