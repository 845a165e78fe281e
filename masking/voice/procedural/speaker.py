"""What tells one procedural speaker from another: traits that stay the same in all that they say."""

from dataclasses import dataclass
from typing import Final, Literal, Self

from numpy.random import Generator

from masking.voice.procedural.phones import PHONES

Sex = Literal["f", "m"]

HIGHER: Final = 5
"""Formants above the lowest three, up to 8 kHz."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """One speaker who does not exist.

    Attributes:
        sex: By which traits are drawn, and results sliced.
        tract: Factor on all formants: 17.5 cm over the length of the vocal tract.
        pitch: Middle of the fundamental in Hz.
        liveliness: How far the melody moves, in octaves.
        tilt: dB that the source has lost at 3 kHz.
        breathiness: Noise in the voice, in [0, 1].
        openness: Share of a period in which the glottis is open.
        roughness: Random change from period to period, as a share of it.
        rate: Factor on all durations.
        hiss: Factor on the middle of friction's spectra.
        damping: Factor on the bandwidths of the formants.
        nasality: How much of a nasal's damping vowels have, in [0, 1].
        higher: Factor on each of the formants above the third, shape (5,).
        accent: Factor on each of the lowest three formants of each phone.
        timing: Factor on the duration of each phone.
    """

    sex: Sex
    tract: float
    pitch: float
    liveliness: float
    tilt: float
    breathiness: float
    openness: float
    roughness: float
    rate: float
    hiss: float
    damping: float
    nasality: float
    higher: tuple[float, ...]
    accent: dict[str, tuple[float, float, float]]
    timing: dict[str, float]

    @classmethod
    def draw(cls, rng: Generator, sex: Sex | None = None) -> Self:
        """Draw one speaker, of a given sex or either."""
        drawn: Sex = "f" if rng.random() < 0.5 else "m"
        sex = sex or drawn
        tract, pitch = (1.12, 205.0) if sex == "f" else (1.0, 118.0)
        factors = {label: rng.normal(0, (0.06, 0.05, 0.03)) for label in PHONES}
        return cls(
            sex,
            tract=float(tract * (1 + rng.normal(0, 0.04))),
            pitch=float(pitch * 2 ** rng.normal(0, 0.2)),
            liveliness=float(rng.uniform(0.1, 0.45)),
            tilt=float(rng.uniform(2, 18)),
            breathiness=float(rng.uniform(0.02, 0.35) * (1.2 if sex == "f" else 0.8)),
            openness=float(rng.uniform(0.45, 0.75)),
            roughness=float(rng.uniform(0.002, 0.02)),
            rate=float(2 ** rng.normal(0, 0.22)),
            hiss=float(2 ** rng.normal(0, 0.12)),
            damping=float(1.25 * 2 ** rng.normal(0, 0.2)),
            nasality=float(rng.beta(1.2, 4)),
            higher=tuple(float(factor) for factor in 1 + rng.normal(0, 0.04, HIGHER)),
            accent={label: (1 + float(a), 1 + float(b), 1 + float(c)) for label, (a, b, c) in factors.items()},
            timing={label: float(2 ** rng.normal(0, 0.15)) for label in PHONES},
        )
