"""The product on one screen: bytes in, masked bytes and a report out.

    probe → decode → detect → select → mask → encode

Each stage either gives its result or raises, so nothing that was not masked can reach the end. `masking.video` does the
same to a moving picture.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from masking.face import tiles
from masking.face.cover import cover, draws
from masking.face.detectors import Detector
from masking.face.maskers import MASKERS, Masker, masker_of
from masking.face.search import search
from masking.face.surrogates.tones import ToneKeeper
from masking.media.image import Still, decode, encode_with_notes, views
from masking.media.probe import ImageLimits, probe
from masking.observer import Observer, Silent, observed
from masking.policy import Policy
from masking.report import MaskReport
from masking.types import Faces


@dataclass(frozen=True, slots=True)
class Masked:
    """A masked picture: its bytes, their media type, the report, and the faces under the masks, which it leaves out."""

    data: bytes
    media_type: str
    report: MaskReport
    faces: Faces


@dataclass(frozen=True, slots=True)
class Detected:
    """The faces of a picture in pixels of the upright picture, with its size."""

    width: int
    height: int
    faces: Faces


def mask_image(
    data: bytes,
    policy: Policy,
    detector: Detector,
    limits: ImageLimits,
    observer: Observer | None = None,
    maskers: Mapping[str, Masker] = MASKERS,
) -> Masked:
    """Mask every face of a picture.

    Args:
        data: The file: JPEG, PNG or WebP.
        policy: What is wished.
        detector: Finds the faces.
        limits: Largest input that is taken.
        observer: Told of every stage; an error that it raises ends the work.
        maskers: The styles that can be had, by name.

    Returns:
        A file of the same kind and size without metadata, with its report.

    Raises:
        PolicyError: The style is not among the maskers.
        MediaError: The input's fault; see `masking.errors` for which.
        ModelError: The detector failed.
    """
    masker_of(policy.style, maskers)
    observer = observer or Silent()
    still, media_type = _read(data, limits, observer)
    with observed(observer, "detect"):
        faces, opened = _selected(still, detector, policy)
    with observed(observer, "mask"):
        tones = ToneKeeper() if policy.tone == "keep" else None
        numbers = draws(policy.key, range(len(faces)))
        pixels, touched = cover(still.pixels, faces, policy.style, numbers, maskers, tones)
    with observed(observer, "encode"):
        encoded, encoding_notes = encode_with_notes(still, pixels, touched)
    height, width = pixels.shape[:2]
    report = MaskReport(
        kind=media_type,
        width=width,
        height=height,
        faces=len(faces),
        scores=tuple(round(float(score), 4) for score in faces.scores),
        style=policy.style,
        threshold=policy.threshold,
        search=policy.search,
        policy=policy.digest,
        notes=tuple(map(str, (*still.notes, *encoding_notes, *policy.selection.notes(opened=len(opened) > 0)))),
        input_sha256=hashlib.sha256(data).hexdigest(),
        output_sha256=hashlib.sha256(encoded).hexdigest(),
    )
    return Masked(encoded, media_type, report, faces)


def detect_image(
    data: bytes, policy: Policy, detector: Detector, limits: ImageLimits, observer: Observer | None = None
) -> Detected:
    """Find exactly the faces that `mask_image` would mask under this policy. Arguments and errors as there."""
    observer = observer or Silent()
    still, _ = _read(data, limits, observer)
    with observed(observer, "detect"):
        faces, _ = _selected(still, detector, policy)
    height, width = still.pixels.shape[:2]
    return Detected(width, height, faces)


def find_faces(still: Still, detector: Detector, policy: Policy) -> Faces:
    """Find the faces in every way that a viewer could see the picture: alpha may hide or draw one."""
    found = [search(view, detector, policy.threshold, policy.search) for view in views(still.pixels)]
    return found[0] if len(found) == 1 else tiles.merge(found)


def _selected(still: Still, detector: Detector, policy: Policy) -> tuple[Faces, Faces]:
    height, width = still.pixels.shape[:2]
    return policy.selection.part(find_faces(still, detector, policy), width, height)


def _read(data: bytes, limits: ImageLimits, observer: Observer) -> tuple[Still, str]:
    with observed(observer, "probe"):
        probed = probe(data, limits)
    with observed(observer, "decode"):
        return decode(data, probed), probed.kind.media_type
