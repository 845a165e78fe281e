"""The product on one screen: bytes in, masked bytes and a report out.

    probe → decode → detect → mask → encode

Each stage either gives its result or raises, so nothing that was not masked can reach the end.
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np

from masking.errors import PolicyError
from masking.face import tiles
from masking.face.detectors import Detector
from masking.face.maskers import MASKERS, Masker
from masking.face.region import regions
from masking.media.image import Still, decode, encode, views
from masking.media.probe import ImageLimits, probe
from masking.observer import Observer, Silent, observed
from masking.report import MaskReport
from masking.types import Faces, Pixels

LOWEST_THRESHOLD, HIGHEST_THRESHOLD = 0.01, 0.99


@dataclass(frozen=True, slots=True)
class Policy:
    """How to mask.

    Attributes:
        style: A name in `MASKERS`.
        threshold: Detector score in [0.01, 0.99] from which a face is masked; lower masks more.

    Raises:
        PolicyError: The style is unknown or the threshold out of range.
    """

    style: str = "solid"
    threshold: float = 0.2

    def __post_init__(self) -> None:
        if self.style not in MASKERS:
            raise PolicyError(f"unknown style; the styles are {', '.join(MASKERS)}")
        check_threshold(self.threshold)


@dataclass(frozen=True, slots=True)
class Masked:
    """A masked picture: its bytes, their media type, and the report."""

    data: bytes
    media_type: str
    report: MaskReport


@dataclass(frozen=True, slots=True)
class Detected:
    """The faces of a picture in pixels of the upright picture, with its size."""

    width: int
    height: int
    faces: Faces


def mask_image(
    data: bytes, policy: Policy, detector: Detector, limits: ImageLimits, observer: Observer | None = None
) -> Masked:
    """Mask every face of a picture.

    Args:
        data: The file: JPEG, PNG or WebP.
        policy: Style and threshold.
        detector: Finds the faces.
        limits: Largest input that is taken.
        observer: Told of every stage; an error that it raises ends the work.

    Returns:
        A file of the same kind and size without metadata, with its report.

    Raises:
        MediaError: The input's fault; see `masking.errors` for which.
        ModelError: The detector failed.
    """
    observer = observer or Silent()
    still, media_type = _read(data, limits, observer)
    with observed(observer, "detect"):
        faces = find_faces(still, detector, policy.threshold)
    with observed(observer, "mask"):
        pixels = cover(still.pixels, faces, MASKERS[policy.style])
    with observed(observer, "encode"):
        masked = encode(still, pixels)
    height, width = pixels.shape[:2]
    scores = tuple(round(float(score), 4) for score in faces.scores)
    report = MaskReport(
        media_type, width, height, len(faces), scores, policy.style, policy.threshold, tuple(map(str, still.notes))
    )
    return Masked(masked, media_type, report)


def detect_image(
    data: bytes, threshold: float, detector: Detector, limits: ImageLimits, observer: Observer | None = None
) -> Detected:
    """Find exactly the faces that `mask_image` would mask at this threshold. Arguments and errors as there."""
    check_threshold(threshold)
    observer = observer or Silent()
    still, _ = _read(data, limits, observer)
    with observed(observer, "detect"):
        faces = find_faces(still, detector, threshold)
    height, width = still.pixels.shape[:2]
    return Detected(width, height, faces)


def check_threshold(threshold: float) -> None:
    """Raise PolicyError unless the threshold lies in [0.01, 0.99]."""
    if not (isfinite(threshold) and LOWEST_THRESHOLD <= threshold <= HIGHEST_THRESHOLD):
        raise PolicyError(f"the threshold must lie between {LOWEST_THRESHOLD} and {HIGHEST_THRESHOLD}")


def find_faces(still: Still, detector: Detector, threshold: float) -> Faces:
    """Find the faces in every way that a viewer could see the picture (alpha may hide or draw one)."""
    found = [tiles.detect(view, detector, threshold) for view in views(still.pixels)]
    return found[0] if len(found) == 1 else tiles.merge(found)


def cover(pixels: Pixels, faces: Faces, masker: Masker) -> Pixels:
    """Replace the area of each face; every patch is read from the original, so the order of faces does not matter."""
    height, width = pixels.shape[:2]
    has_alpha = pixels.ndim == 3 and pixels.shape[2] in (2, 4)
    masked = pixels.copy()
    for region in regions(faces, width, height):
        patch: Pixels = pixels[region.rows, region.columns].copy()
        painted = masker(patch, face_px=region.face_px, has_alpha=has_alpha)
        inside = region.inside if pixels.ndim == 2 else region.inside[..., None]
        np.copyto(masked[region.rows, region.columns], painted, where=inside)
    return masked


def _read(data: bytes, limits: ImageLimits, observer: Observer) -> tuple[Still, str]:
    with observed(observer, "probe"):
        probed = probe(data, limits)
    with observed(observer, "decode"):
        return decode(data, probed), probed.kind.media_type
