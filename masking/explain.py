"""Why a picture is masked as it is: what was found and how surely, what was asked for, and what was nearly masked.

The picture that goes with it is the masked one with frames drawn on it: it shows no face that the masked one hides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.face.cover import cover, draws
from masking.face.detectors import Detector
from masking.face.maskers import MASKERS, Masker, masker_of
from masking.face.surrogates.tones import ToneKeeper
from masking.media.image import decode, views
from masking.media.probe import ImageLimits, probe
from masking.observer import Observer, Silent, observed
from masking.pipeline import find_faces
from masking.policy import LOWEST_THRESHOLD, Policy
from masking.types import Faces

DETECTED: Final = "detected"
ASKED: Final = "asked"
KEPT: Final = "kept"
BELOW: Final = "below-threshold"
NEARLY: Final = 0.5
"""What scores from so much of the threshold on was nearly masked."""
MOST_NEARLY: Final = 20
SAME: Final = 0.5
"""Overlap (intersection over union) from which two boxes are one."""
COLOURS: Final = {DETECTED: (40, 200, 60), ASKED: (60, 120, 255), KEPT: (255, 170, 0), BELOW: (160, 160, 160)}
"""RGB of the frame of each reason."""
LINE_SHARE: Final = 1 / 400
"""Width of a frame's line as a share of the longer side."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Finding:
    """One region, and why it is masked or not.

    Attributes:
        box: ``x1, y1, x2, y2`` in pixels of the upright picture.
        masked: Whether it is masked.
        reason: ``detected`` (scored at least the threshold), ``asked`` (a person listed it), ``kept`` (detected, but a
            person listed it to stay), ``below-threshold`` (scored half of the threshold at least).
        score: The detector's score in [0, 1]; None for what was only asked for.
        margin: Score less threshold: how far it is from the other decision; None likewise.
    """

    box: tuple[float, float, float, float]
    masked: bool
    reason: str
    score: float | None
    margin: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a picture is masked as it is.

    Attributes:
        width: Columns of the upright picture.
        height: Rows.
        threshold: Score from which a face is masked.
        findings: The regions, surest first within each reason.
        masked: The masked picture, (h, w, 3) uint8 RGB.
    """

    width: int
    height: int
    threshold: float
    findings: tuple[Finding, ...]
    masked: Pixels

    def overlay(self) -> bytes:
        """Return the masked picture with a frame around every region, as PNG."""
        drawn = self.masked.copy()
        line = max(1, round(max(self.width, self.height) * LINE_SHARE))
        for finding in self.findings:
            x1, y1, x2, y2 = (round(side) for side in finding.box)
            colour = COLOURS[finding.reason]
            cv2.rectangle(drawn, (x1, y1), (x2, y2), colour, line)
            text = finding.reason if finding.score is None else f"{finding.score:.2f}"
            place = (max(0, x1), max(12 * line, y1 - 2 * line))
            cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * line, colour, line, cv2.LINE_AA)
        return bytes(cv2.imencode(".png", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))[1])


def explain_image(
    data: bytes,
    policy: Policy,
    detector: Detector,
    limits: ImageLimits,
    observer: Observer | None = None,
    maskers: Mapping[str, Masker] = MASKERS,
) -> Explanation:
    """Say why `masking.pipeline.mask_image` masks a picture as it does. It costs two searches; arguments as there.

    Raises:
        PolicyError, MediaError, ModelError: As there.
    """
    masker_of(policy.style, maskers)
    observer = observer or Silent()
    with observed(observer, "probe"):
        probed = probe(data, limits)
    with observed(observer, "decode"):
        still = decode(data, probed)
    height, width = still.pixels.shape[:2]
    with observed(observer, "detect"):
        found = find_faces(still, detector, policy)
        low = max(LOWEST_THRESHOLD, NEARLY * policy.threshold)
        all_found = find_faces(still, detector, replace(policy, threshold=low))
    chosen = policy.selection.apply(found, width, height)
    with observed(observer, "mask"):
        tones = ToneKeeper() if policy.tone == "keep" else None
        pixels, _ = cover(still.pixels, chosen, policy.style, draws(policy.key, range(len(chosen))), maskers, tones)
    findings = _findings(found, chosen, all_found, policy.threshold)
    return Explanation(width, height, policy.threshold, findings, views(pixels)[0])


def _findings(found: Faces, chosen: Faces, all_found: Faces, threshold: float) -> tuple[Finding, ...]:
    told = []
    for box, score in zip(chosen.boxes, chosen.scores, strict=True):
        if _overlaps(box, found.boxes):
            told.append(_finding(box, float(score), threshold, DETECTED, masked=True))
        else:
            told.append(Finding(_sides(box), True, ASKED, None, None))
    for box, score in zip(found.boxes, found.scores, strict=True):
        if not _overlaps(box, chosen.boxes):
            told.append(_finding(box, float(score), threshold, KEPT, masked=False))
    below = all_found.scores < threshold
    nearly = [
        _finding(box, float(score), threshold, BELOW, masked=False)
        for box, score in zip(all_found.boxes[below], all_found.scores[below], strict=True)
        if not _overlaps(box, np.concatenate([found.boxes, chosen.boxes]))
    ]
    return (*told, *nearly[:MOST_NEARLY])


def _finding(box: NDArray[np.float32], score: float, threshold: float, reason: str, *, masked: bool) -> Finding:
    return Finding(_sides(box), masked, reason, round(score, 4), round(score - threshold, 4))


def _sides(box: NDArray[np.float32]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (round(float(side), 1) for side in box)
    return x1, y1, x2, y2


def _overlaps(box: NDArray[np.float32], others: NDArray[np.float32]) -> bool:
    """Say whether one of the other boxes is the same region."""
    if not len(others):
        return False
    first = np.maximum(box[:2], others[:, :2])
    last = np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.clip(last - first, 0, None), axis=1)
    whole = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1) - shared
    return bool((shared >= SAME * whole).any())
