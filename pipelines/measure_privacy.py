"""Whom attackers still name behind each style, and what the masked pictures are still good for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masking.evaluation.attackers import Image, cut_to_face
from masking.evaluation.identification import AttackFigures
from masking.evaluation.privacy import PrivacyFigures, StyleFigures, judge
from masking.evaluation.utility import landmark_error, outside_changed
from masking.face.cover import cover, draws
from masking.face.detectors import Detector
from masking.face.maskers import MASKERS, Masker
from masking.face.search import search
from masking.types import Faces
from pipelines.dataset import Crop
from pipelines.measure_detection import DEFAULT, rate
from pipelines.params import Evaluate

RELEASES = 2
"""How often every capture is masked, with another key each time."""


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """Captures masked with one key each, and (h, w) bool of each where a mask lies."""

    pictures: list[Image]
    touched: list[NDArray[np.bool_]]


def measure_privacy(
    crops: Sequence[Crop], detector: Detector, params: Evaluate, maskers: Mapping[str, Masker] = MASKERS
) -> dict[str, Any]:
    """Judge every style by the face alone, which is what a mask answers for, and with hair and surroundings.

    Args:
        crops: Pictures of one person each.
        detector: Finds what is masked, and what is still found afterwards.
        params: Section `evaluate` of params.yaml.
        maskers: The styles that are judged, by name.

    Returns:
        Figures ``privacy`` and ``utility``; with too few people the first are not valid and the second empty.
    """
    known = _known(crops, params.captures)
    people = {crop.identity for crop in known}
    if len(people) < params.people:
        return {"privacy": {"valid": False, "people": len(people)}, "utility": {}}
    faces = [search(crop.pixels, detector, params.threshold, DEFAULT) for crop in known]
    released = {
        style: tuple(_release(known, faces, style, key, maskers) for key in range(RELEASES)) for style in maskers
    }
    identities, landmarks = [str(crop.identity) for crop in known], np.stack([crop.landmarks for crop in known])
    plain = [crop.pixels for crop in known]
    albums = {style: (first.pictures, second.pictures) for style, (first, second) in released.items()}
    cut = {style: (_cut(first, landmarks), _cut(second, landmarks)) for style, (first, second) in albums.items()}
    settings: dict[str, Any] = {"floor": params.judge_floor, "trials": params.trials, "seed": params.seed}
    square = cut_to_face(plain, landmarks)
    face = judge(list(square[0]), identities, square[1], cut, **settings)
    context = judge(plain, identities, landmarks, albums, parrots_only=True, **settings)
    return {
        "privacy": {
            "valid": face.valid and context.valid,
            "people": face.people,
            "enrolled": face.enrolled,
            "chance": face.chance,
            "face": _told(face),
            "with_surroundings": _told(context),
        },
        "utility": {
            style: _utility(known, first, detector, params.threshold) for style, (first, _) in released.items()
        },
    }


def _known(crops: Sequence[Crop], most: int) -> list[Crop]:
    """Give the first crops of each known person, ``most`` of each, that have landmarks."""
    count: Counter[str] = Counter()
    known = []
    for crop in crops:
        if crop.identity is not None and np.isfinite(crop.landmarks).all() and count[crop.identity] < most:
            count[crop.identity] += 1
            known.append(crop)
    return known


def _release(
    crops: Sequence[Crop], faces: Sequence[Faces], style: str, key: int, maskers: Mapping[str, Masker]
) -> Release:
    """Mask every capture as a file of its own: no two share a key. The keys are known, so that figures repeat."""
    pictures, touched = [], []
    for index, (crop, found) in enumerate(zip(crops, faces, strict=True)):
        secret = index.to_bytes(16, "big") + key.to_bytes(16, "big")
        masked, where = cover(crop.pixels, found, style, draws(secret, range(len(found))), maskers)
        pictures.append(np.asarray(masked, np.uint8))
        touched.append(where)
    return Release(pictures, touched)


def _cut(pictures: Sequence[Image], landmarks: NDArray[np.float32]) -> list[Image]:
    return list(cut_to_face(pictures, landmarks)[0])


def _utility(crops: Sequence[Crop], release: Release, detector: Detector, threshold: float) -> dict[str, float]:
    errors = [
        landmark_error(crop.landmarks, detector(picture, threshold))
        for crop, picture in zip(crops, release.pictures, strict=True)
    ]
    found = [error for error in errors if error is not None]
    outside = [
        outside_changed(crop.pixels, picture, touched)
        for crop, picture, touched in zip(crops, release.pictures, release.touched, strict=True)
    ]
    figures = {"face_found": len(found) / len(errors), "changed_outside": float(sum(outside))}
    return figures | ({"landmark_error": float(np.mean(found))} if found else {})


def _told(figures: PrivacyFigures) -> dict[str, Any]:
    styles: Mapping[str, StyleFigures] = {"unmasked": figures.unmasked, **figures.styles}
    return {name: _style(each, figures.chance) for name, each in styles.items()}


def _style(style: StyleFigures, chance: float) -> dict[str, Any]:
    """The figures of the strongest parrot, on whom the gate stands, and those of the others beneath their names."""
    others = {"naive": style.naive, "pixel": style.pixel, "linkage": style.linkage}
    return _attack(style.strongest, chance) | {
        name: _attack(figures, chance) for name, figures in others.items() if figures is not None
    }


def _attack(figures: AttackFigures, chance: float) -> dict[str, float]:
    return {
        **rate("rank1", figures.rank1),
        "rank5": figures.rank5,
        "equal_error_rate": figures.equal_error_rate,
        "times_chance": figures.rank1.value / chance,
    }
