import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from masking.errors import DamagedMedia, DeadlineExceeded, ModelError, PolicyError
from masking.face.detectors.centerface import CenterFace
from masking.face.maskers import AVERAGES, MASKERS, maskers_with
from masking.media.probe import ImageLimits
from masking.pipeline import detect_image, mask_image
from masking.policy import Policy
from masking.selection import Listed, Selection
from masking.types import Faces

LIMITS = ImageLimits(bytes=10_000_000, pixels=10_000_000, side=8000)


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def encoded(pixels: np.ndarray, suffix: str) -> bytes:
    done, data = cv2.imencode(suffix, pixels)
    assert done
    return data.tobytes()


@pytest.mark.parametrize("style", MASKERS)
def test_the_face_of_a_photo_is_gone_and_the_rest_is_there(style: str, detector: CenterFace, hopper: bytes) -> None:
    result = mask_image(hopper, Policy(style), detector, LIMITS)
    before, after = decoded(hopper), decoded(result.data)
    assert (result.media_type, after.shape) == ("image/jpeg", before.shape)
    assert (result.report.faces, result.report.style) == (1, style)
    (x1, y1, x2, y2) = detect_image(hopper, Policy(), detector, LIMITS).faces.boxes[0].astype(int)
    inside = np.abs(before[y1:y2, x1:x2].astype(int) - after[y1:y2, x1:x2]).mean()
    outside = np.abs(before[450:].astype(int) - after[450:]).mean()
    assert inside > 10
    assert outside < 2


def test_averages_cover_a_photo_where_there_are_any(detector: CenterFace, hopper: bytes, averages: Path) -> None:
    policy = Policy(AVERAGES)
    with pytest.raises(PolicyError, match=r"20 people .* data/photos"):
        mask_image(hopper, policy, detector, LIMITS)
    masked = mask_image(hopper, policy, detector, LIMITS, maskers=maskers_with(averages))
    assert masked.report.style == AVERAGES
    (x1, y1, x2, y2) = detect_image(hopper, policy, detector, LIMITS).faces.boxes[0].astype(int)
    blue, green, red = decoded(masked.data)[y1:y2, x1:x2].reshape(-1, 3).astype(int).T
    assert (green > np.maximum(red, blue) + 40).mean() > 0.8


def test_after_solid_no_face_is_found_even_at_a_low_threshold(detector: CenterFace, hopper: bytes) -> None:
    result = mask_image(hopper, Policy("solid"), detector, LIMITS)
    # A thorough search at .1 takes the shape of a mask itself for a face; a plain look does not.
    assert len(detect_image(result.data, Policy(), detector, LIMITS).faces) == 0
    assert len(detect_image(result.data, Policy(threshold=0.1, search="fast"), detector, LIMITS).faces) == 0


def test_detect_tells_exactly_the_faces_that_mask_covers(detector: CenterFace, hopper: bytes) -> None:
    for threshold in (0.05, 0.2, 0.9):
        report = mask_image(hopper, Policy(threshold=threshold), detector, LIMITS).report
        faces = detect_image(hopper, Policy(threshold=threshold), detector, LIMITS).faces
        assert report.scores == tuple(round(float(score), 4) for score in faces.scores)


@pytest.mark.parametrize("make", ["grey", "alpha", "drawn in alpha", "16 bit", "webp"])
def test_a_face_is_masked_however_it_is_stored(make: str, detector: CenterFace, hopper: bytes) -> None:
    bgr = decoded(hopper)
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    data = {
        "grey": lambda: encoded(grey, ".png"),
        "alpha": lambda: encoded(np.dstack([bgr, np.full_like(grey, 255)]), ".png"),
        # All colour is black; the face is in the transparency alone, as in a stamp or a logo.
        "drawn in alpha": lambda: encoded(np.dstack([np.zeros_like(bgr), 255 - grey]), ".png"),
        "16 bit": lambda: encoded(bgr.astype(np.uint16) * 257, ".png"),
        "webp": lambda: encoded(bgr, ".webp"),
    }[make]()
    result = mask_image(data, Policy(), detector, LIMITS)
    before, after = decoded(data), decoded(result.data)
    assert (after.shape, after.dtype) == (before.shape, before.dtype)
    assert result.report.faces == 1
    assert len(detect_image(result.data, Policy(), detector, LIMITS).faces) == 0


class _Failing:
    def __call__(self, pixels: np.ndarray, threshold: float) -> Faces:
        raise ModelError("no answer")


def test_a_detector_that_fails_lets_nothing_out(hopper: bytes) -> None:
    with pytest.raises(ModelError):
        mask_image(hopper, Policy(), _Failing(), LIMITS)


def test_damage_lets_nothing_out(detector: CenterFace, hopper: bytes) -> None:
    with pytest.raises(DamagedMedia):
        mask_image(hopper[: len(hopper) // 2], Policy(), detector, LIMITS)


@pytest.mark.parametrize("stage", ["probe", "decode", "detect", "mask", "encode"])
def test_an_observer_can_end_the_work_before_any_stage(stage: str, detector: CenterFace, hopper: bytes) -> None:
    class Impatient:
        def started(self, now: str) -> None:
            if now == stage:
                raise DeadlineExceeded("enough")

        def finished(self, now: str, seconds: float) -> None:
            assert seconds >= 0

    with pytest.raises(DeadlineExceeded):
        mask_image(hopper, Policy(), detector, LIMITS, Impatient())


@pytest.mark.parametrize("threshold", [0.0, 0.009, 1.0, -1.0, float("nan"), float("inf")])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(PolicyError, match="between"):
        Policy(threshold=threshold)


def test_an_unknown_style_is_refused_and_the_styles_are_told() -> None:
    with pytest.raises(PolicyError, match="solid, pixelate, blur, surrogate"):
        Policy("sepia")


def test_the_report_names_both_files_by_their_digests(detector: CenterFace, hopper: bytes) -> None:
    result = mask_image(hopper, Policy(), detector, LIMITS)
    assert result.report.input_sha256 == hashlib.sha256(hopper).hexdigest()
    assert result.report.output_sha256 == hashlib.sha256(result.data).hexdigest()


def test_a_jpeg_keeps_its_pixels_away_from_the_mask_bit_for_bit(detector: CenterFace, hopper: bytes) -> None:
    result = mask_image(hopper, Policy(), detector, LIMITS)
    assert "whole_picture_recoded" not in result.report.notes
    changed = (decoded(hopper) != decoded(result.data)).any(axis=2)
    rows, columns = np.nonzero(changed)
    x1, y1, x2, y2 = detect_image(hopper, Policy(), detector, LIMITS).faces.boxes[0]
    reach = 2 * max(x2 - x1, y2 - y1)
    assert rows.size
    assert rows.min() > y1 - reach
    assert rows.max() < y2 + reach
    assert columns.min() > x1 - reach
    assert columns.max() < x2 + reach


def test_a_person_can_keep_a_face_and_mask_what_no_detector_finds(detector: CenterFace, hopper: bytes) -> None:
    (x1, y1, x2, y2) = map(float, detect_image(hopper, Policy(), detector, LIMITS).faces.boxes[0])
    keep = Selection((Listed("keep", x1 - 5, y1 - 5, x2 + 5, y2 + 5), Listed("mask", 10, 400, 60, 460)))
    result = mask_image(hopper, Policy(selection=keep), detector, LIMITS)
    assert result.report.faces == 1
    before, after = decoded(hopper), decoded(result.data)
    assert (before[int(y1) : int(y2), int(x1) : int(x2)] == after[int(y1) : int(y2), int(x1) : int(x2)]).all()
    assert after[410:450, 20:50].max() < 10
    assert "faces_kept" in result.report.notes


def test_a_report_tells_faces_that_a_person_leaves_open_from_none_found(detector: CenterFace, hopper: bytes) -> None:
    everything, corner = Listed("keep", 0, 0, 5000, 5000), Listed("mask", 10, 400, 60, 460)
    nothing = encoded(np.full((120, 160, 3), 90, np.uint8), ".jpg")

    def told(data: bytes, *rows: Listed, only: bool = False) -> tuple[int, set[str]]:
        report = mask_image(data, Policy(selection=Selection(rows, only)), detector, LIMITS).report
        return report.faces, set(report.notes) & {"faces_kept", "only_listed"}

    assert told(hopper) == (1, set())
    assert told(hopper, everything) == (0, {"faces_kept"})
    assert told(nothing, everything) == (0, set())
    assert told(hopper, everything, corner, only=True) == (1, {"only_listed"})


def test_a_policy_tells_its_wishes_but_never_its_key() -> None:
    one, other = Policy(key=b"1" * 32), Policy(key=b"2" * 32)
    assert one.digest == other.digest != Policy(style="blur").digest
    assert "1" * 32 not in repr(one) + str(one.facts())
    assert Policy().key != Policy().key


def test_a_photo_keeps_a_tone_on_request_and_only_then(detector: CenterFace, hopper: bytes) -> None:
    key = b"of the test, and of nobody else."
    plain = decoded(hopper)
    found = detect_image(encoded(plain, ".png"), Policy(), detector, LIMITS).faces
    (x1, y1, x2, y2) = found.boxes[0].astype(int)
    middle = slice(y1 + (y2 - y1) // 3, y2 - (y2 - y1) // 3), slice(x1 + (x2 - x1) // 3, x2 - (x2 - x1) // 3)
    for tone, differ in (("drop", False), ("keep", True)):
        shown = []
        for factor in (1.0, 0.35):
            behind = plain.copy()
            behind[y1:y2, x1:x2] = (plain[y1:y2, x1:x2] * factor).astype(np.uint8)
            policy = Policy("surrogate", key=key, tone=tone)
            masked = mask_image(encoded(behind, ".png"), policy, lambda pixels, threshold: found, LIMITS)
            shown.append(decoded(masked.data)[middle])
        assert (shown[0].tobytes() != shown[1].tobytes()) == differ
