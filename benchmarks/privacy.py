"""Who is still named behind each style, on real people: naive, parrot, pixel distance and linkage, beside chance.

`toned` is `surrogate` with the skin tone kept.

`python -m benchmarks.privacy`; reads `identities/PERSON/PHOTO` of the folder that MASKER_REAL_DATA names. Where dlib's
recogniser is installed (`dlib-bin` and `face_recognition_models`, the extra `judges`), it attacks as a parrot as well.
"""

import importlib
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.evaluation.attackers import (
    ATTACKERS,
    TEMPLATE,
    Attacker,
    Evidence,
    Floats,
    Image,
    Split,
    cut_to_face,
    examine,
    similarity,
)
from masking.evaluation.identification import AttackFigures
from masking.evaluation.privacy import PrivacyFigures, StyleFigures, judge
from masking.evaluation.utility import landmark_error, outside_changed
from masking.face.cover import cover, draws
from masking.face.detectors import DETECTORS, Detector
from masking.face.maskers import TONED, Masker, maskers_with
from masking.face.search import search
from masking.face.surrogates.tones import ToneKeeper
from masking.onnx import open_session
from masking.types import Faces
from mlops.registry.bundle import current
from mlops.settings import load_settings

THRESHOLD = 0.2
KEPT = "toned"
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".pgm", ".bmp"})
DLIB = "dlib"
DLIB_PX = 150
DLIB_EYES = np.array([[0.318, 0.314], [0.669, 0.314]])
"""Where dlib's own alignment puts the middles of the eyes, in shares of its square."""
DLIB_MODEL = "models/dlib_face_recognition_resnet_model_v1.dat"


@dataclass(frozen=True, slots=True, eq=False)
class Capture:
    """A photo of a person: who, (h, w, 3) uint8 RGB, the faces that were found, and the landmarks of the largest."""

    person: str
    pixels: Image
    faces: Faces
    landmarks: NDArray[np.float32]


def main() -> None:
    """Print a table by style, for attackers who see the face alone and for such who see what is around it too."""
    settings = load_settings()
    if settings.real_data is None:
        sys.stderr.write("BENCHMARK SKIPPED: MASKER_REAL_DATA names no folder of real photos\n")
        raise SystemExit(0)
    bundle = current(settings.registry.bundles_path, settings.registry.model)
    if bundle is None:
        raise SystemExit("no model is installed: run `make run` first")
    detector = DETECTORS[bundle.architecture](open_session(bundle.graphs["fp32"]))
    captures = list(read(settings.real_data / "identities", detector))
    maskers = dict(maskers_with(bundle.averages))
    maskers[KEPT] = maskers[TONED]
    shown = {style: (masked(captures, style, maskers), masked(captures, style, maskers)) for style in maskers}
    for view in ("face", "face and surroundings"):
        report(view, judged(captures, shown, cut=view == "face"))
    for style, (album, _) in shown.items():
        print(f"{style}: {kept(captures, album, detector)}")
    print(f"pixels changed outside a mask: {max(outside(captures, style, maskers) for style in maskers)}")


def read(folder: Path, detector: Detector) -> Iterator[Capture]:
    """Give the photos in which a face is found, enlarged where they are small."""
    for path in sorted(path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES):
        read = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if read is None:
            raise SystemExit(f"{path} cannot be decoded")
        scale = max(1.0, 224 / max(read.shape[:2]))
        pixels = np.asarray(cv2.resize(read, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
        pixels = np.ascontiguousarray(pixels[..., ::-1])
        faces = search(pixels, detector, THRESHOLD, "thorough")
        if len(faces):
            sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
            yield Capture(path.parent.name, pixels, faces, faces.landmarks[int(np.argmax(sides.prod(axis=1)))])


def masked(captures: Sequence[Capture], style: str, maskers: Mapping[str, Masker]) -> list[Image]:
    """Mask every capture as a file of its own: with a fresh key."""
    return [_covered(capture, style, maskers)[0] for capture in captures]


def outside(captures: Sequence[Capture], style: str, maskers: Mapping[str, Masker]) -> int:
    """Count the pixels of all captures that changed where no mask lies."""
    return sum(outside_changed(capture.pixels, *_covered(capture, style, maskers)) for capture in captures)


def _covered(capture: Capture, style: str, maskers: Mapping[str, Masker]) -> tuple[Image, NDArray[np.bool_]]:
    numbers = draws(secrets.token_bytes(32), range(len(capture.faces)))
    tones = ToneKeeper() if style == KEPT else None
    pixels, touched = cover(capture.pixels, capture.faces, style, numbers, maskers, tones)
    return np.asarray(pixels, np.uint8), touched


def judged(
    captures: Sequence[Capture], shown: Mapping[str, tuple[list[Image], list[Image]]], *, cut: bool
) -> PrivacyFigures:
    """Let the attackers try, with or without what is around the face."""
    landmarks = np.stack([capture.landmarks for capture in captures])
    plain = [capture.pixels for capture in captures]
    albums: dict[str, tuple[list[Image], list[Image]]] = dict(shown)
    points = landmarks
    if cut:
        plain, points = list(cut_to_face(plain, landmarks)[0]), cut_to_face(plain, landmarks)[1]
        albums = {
            style: (list(cut_to_face(first, landmarks)[0]), list(cut_to_face(second, landmarks)[0]))
            for style, (first, second) in shown.items()
        }
    network = dlib_network()
    attackers: Mapping[str, Attacker] = ATTACKERS if network is None else {**ATTACKERS, DLIB: nearest_dlib}

    def describe(crops: Sequence[Image], where: NDArray[np.float32]) -> Evidence:
        evidence = examine(crops, where)
        return evidence if network is None else {**evidence, DLIB: dlib_rows(network, crops, where)}

    people = [capture.person for capture in captures]
    return judge(plain, people, points, albums, attackers=attackers, describe=describe)


def kept(captures: Sequence[Capture], album: Sequence[Image], detector: Detector) -> str:
    """Say in how many masked captures a face is still found where it was, and how far its landmarks moved."""
    errors = [
        landmark_error(capture.landmarks, detector(picture, THRESHOLD))
        for capture, picture in zip(captures, album, strict=True)
    ]
    found = [error for error in errors if error is not None]
    moved = f", landmarks {np.mean(found):.3f} eye distances off" if found else ""
    return f"a face is still found in {len(found) / len(errors):.3f}{moved}"


def report(view: str, figures: PrivacyFigures) -> None:
    """Print one table."""
    valid = "valid" if figures.valid else f"NOT VALID, {figures.reason}"
    print(
        f"\nattackers see the {view}: {figures.people} people, {figures.captures} photos, {figures.enrolled} in the "
        f"gallery, chance {figures.chance:.4f}; the judge is {valid}"
    )
    dlib = f" {DLIB:>22}" if any(each.attacker == DLIB for each in figures.unmasked.attacks) else ""
    print(f"{'style':10} {'parrot (strongest)':>46} {'naive':>22} {'pixel':>22} {'linkage':>22}{dlib}")
    for style, each in {"unmasked": figures.unmasked, **figures.styles}.items():
        print(f"{style:10} {_row(each, figures.chance)}")


def _row(style: StyleFigures, chance: float) -> str:
    best = style.strongest
    parrot = f"{_rate(best)} = {best.rank1.value / chance:4.1f}x chance, {best.attacker}"
    neural = [each for each in style.attacks if each.attacker == DLIB]
    others = (style.naive, style.pixel, style.linkage, *neural)
    return f"{parrot:>46} " + " ".join(f"{_rate(each):>22}" for each in others)


def _rate(figures: AttackFigures | None) -> str:
    if figures is None:
        return "not tried"
    rate = figures.rank1
    return f"{rate.value:.3f} [{rate.low:.3f}, {rate.high:.3f}]"


def dlib_network() -> Any | None:  # noqa: ANN401 - dlib has no types
    """Open dlib's recogniser (King, 2017), or None where it is not installed."""
    models = find_spec("face_recognition_models")
    if find_spec("_dlib_pybind11") is None or models is None or models.origin is None:
        return None
    dlib = importlib.import_module("_dlib_pybind11")
    return dlib.face_recognition_model_v1(str(Path(models.origin).parent / DLIB_MODEL))


def dlib_rows(network: Any, crops: Sequence[Image], landmarks: NDArray[np.float32]) -> Floats:  # noqa: ANN401
    """Describe each crop (h, w, 3) by 128 numbers, aligned as the network was trained."""
    eyes = TEMPLATE[:2]
    places = (TEMPLATE - eyes.mean(axis=0)) * (DLIB_EYES[1] - DLIB_EYES[0])[0] / (eyes[1] - eyes[0])[0]
    places = (places + DLIB_EYES.mean(axis=0)) * DLIB_PX
    faces = []
    for crop, points in zip(crops, landmarks, strict=True):
        matrix = similarity(points, places)
        if matrix is None:
            raise SystemExit("the landmarks of a face lie in one point")
        border = cv2.BORDER_REPLICATE
        faces.append(np.asarray(cv2.warpAffine(crop, matrix, (DLIB_PX, DLIB_PX), borderMode=border), np.uint8))
    return np.array(network.compute_face_descriptor(faces), np.float64)


def nearest_dlib(evidence: Evidence, split: Split) -> Floats:
    """A person is as like a probe as the mean of that person's captures."""
    rows = evidence[DLIB]
    people = np.unique(split.person[split.gallery])
    centres = np.stack([rows[split.gallery][split.person[split.gallery] == each].mean(axis=0) for each in people])
    distance: Floats = np.linalg.norm(rows[split.probes][:, None] - centres[None], axis=2)
    return -distance


if __name__ == "__main__":
    main()
