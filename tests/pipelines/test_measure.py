"""What evaluate measures, on a few procedural pictures, and what the gate that ships makes of it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from masking.face.detectors.centerface import CenterFace
from masking.face.maskers import maskers_with
from masking.face.procedural import Capture, Identity, portrait
from masking.face.procedural.clip import Moment
from masking.types import Faces
from mlops.rollout.gate import Rule, decide, flatten
from pipelines.dataset import Crop, Scene
from pipelines.measure_detection import measure_detection, measure_slices, size_slices
from pipelines.measure_leak import measure_leak, reference
from pipelines.measure_privacy import measure_privacy
from pipelines.params import Evaluate

PARAMS = Evaluate(people=4, captures=3, judge_floor=0.01, trials=2, slice_scenes=4, slice_faces=2)
DROP = Rule("detection.slices.*.recall_drop", at_most=0.05)


@pytest.fixture(scope="module")
def crops() -> list[Crop]:
    rng = np.random.default_rng(2)
    made = []
    for person in range(5):
        who = Identity.draw(rng)
        for capture in range(4):
            shown = portrait(who, Capture.draw(rng, turn=0.3), 96)
            made.append(
                Crop(f"{person}-{capture}", "test", f"p{person}", capture, shown.pixels, shown.box, shown.landmarks)
            )
    return made


@pytest.fixture(scope="module")
def scenes(crops: list[Crop]) -> list[Scene]:
    return [
        Scene(crop.image_id, "test", crop.pixels, crop.box[None], crop.landmarks[None], "plain") for crop in crops[::5]
    ]


def test_a_candidate_that_is_blind_in_one_slice_alone_is_stopped_by_its_name(
    detector: CenterFace, scenes: list[Scene]
) -> None:
    def blind_in_the_dark(pixels: NDArray[np.uint8], threshold: float) -> Faces:
        return Faces.none() if pixels.mean() < 60 else detector(pixels, threshold)

    figures = measure_detection({"int8": blind_in_the_dark, "fp32": detector}, scenes, PARAMS)
    assert figures["detection"]["recall_drop"] == 0
    for candidate, stopped in ((detector, False), (blind_in_the_dark, True)):
        with ThreadPoolExecutor(1) as pool:
            slices = measure_slices({"int8": candidate, "fp32": detector}, scenes, PARAMS, pool)
        verdict = decide(flatten({"detection": {"slices": slices}}), [DROP])
        assert verdict.passed is not stopped
        assert [reason.split()[0] for reason in verdict.reasons] == ["detection.slices.dark.recall_drop"] * stopped


def test_a_slice_of_few_faces_is_told_but_not_compared() -> None:
    bands = {"9-14px": {"recall": 0.5, "faces": 3.0}, "30-infpx": {"recall": 0.9, "faces": 80.0}}
    base = {"9-14px": {"recall": 1.0, "faces": 3.0}, "30-infpx": {"recall": 1.0, "faces": 80.0}}
    slices = size_slices({"int8": {"by_size": bands}, "fp32": {"by_size": base}}, 20)
    assert "recall_drop" not in slices["size_9-14px"]
    assert slices["size_30-infpx"]["recall_drop"] == pytest.approx(0.1)


def test_privacy_and_utility_are_measured_for_every_style(
    detector: CenterFace, crops: list[Crop], averages: Path
) -> None:
    figures = measure_privacy(crops, detector, PARAMS, maskers_with(averages))
    assert figures["privacy"]["people"] == 5
    for style in ("solid", "surrogate", "averages"):
        assert {"naive", "pixel", "linkage", "times_chance"} <= set(figures["privacy"]["face"][style])
        assert figures["utility"][style]["changed_outside"] == 0
    assert figures["utility"]["solid"]["face_found"] == 0
    assert figures["utility"]["surrogate"]["face_found"] > 0.9


def test_too_few_people_make_privacy_invalid(detector: CenterFace, crops: list[Crop]) -> None:
    assert measure_privacy(crops[:8], detector, PARAMS)["privacy"] == {"valid": False, "people": 2}


def test_open_frames_are_counted_in_clips_and_a_blind_detector_leaves_all_open(detector: CenterFace) -> None:
    short = PARAMS.model_copy(update={"clips": 1, "clip_frames": 6})
    seen = measure_leak(detector, short)
    blind = measure_leak(lambda pixels, threshold: Faces.none(), short)
    assert seen["face_frames"] == blind["face_frames"] > 0
    assert blind["open_share"] == 1
    assert seen["open_share"] < 0.5


def test_a_face_that_comes_back_is_a_track_of_its_own() -> None:
    def moment(*owners: int) -> Moment:
        return Moment(np.zeros((4, 4, 3), np.uint8), np.zeros((len(owners), 4), np.float32), np.array(owners, np.intp))

    tracks = reference([moment(1), moment(1, 2), moment(2), moment(1)])
    assert [(track.first, len(track.boxes)) for track in tracks] == [(0, 2), (3, 1), (1, 2)]
