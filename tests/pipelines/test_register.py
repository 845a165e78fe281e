"""The gate on the figures that evaluate writes, with the rules that ship."""

import copy
from pathlib import Path
from typing import Any

import pytest

from pipelines.params import load_params
from pipelines.register import judge

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml").register_
GOOD: dict[str, Any] = {
    "detection": {
        "int8": {
            "recall": 0.9,
            "by_size": {"20-30px": {"recall": 1.0}, "30-infpx": {"recall": 1.0}},
        },
        "recall_drop": 0.001,
        "false_boxes_added": -0.02,
        "slices": {
            "turned_180": {"recall": 0.9, "fp32_recall": 0.9, "faces": 70.0, "recall_drop": 0.0},
            "dark": {"recall": 0.9, "fp32_recall": 0.89, "faces": 70.0, "recall_drop": -0.01},
            "size_9-14px": {"recall": 0.8, "fp32_recall": 0.9, "faces": 10.0},
        },
    },
    "coverage": {"boxes_well_covered": 0.95},
    "privacy": {
        "valid": True,
        "face": {"solid": {"times_chance": 1.1}, "surrogate": {"times_chance": 1.2, "linkage": {"times_chance": 1.0}}},
    },
    "utility": {
        "solid": {"changed_outside": 0.0, "face_found": 0.0},
        "surrogate": {"changed_outside": 0.0, "face_found": 1.0, "landmark_error": 0.1},
    },
    "leak": {"open_share": 0.0},
}


def test_good_figures_pass() -> None:
    assert judge(GOOD, PARAMS).passed


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("detection.int8.recall", 0.5),
        ("detection.int8.by_size.20-30px.recall", 0.8),
        ("detection.recall_drop", 0.05),
        ("detection.false_boxes_added", 3.0),
        # Bad in one slice only: the means above are as they were.
        ("detection.slices.dark.recall_drop", 0.3),
        ("detection.slices.turned_180.recall", 0.1),
        ("privacy.face.surrogate.times_chance", 6.0),
        ("privacy.face.surrogate.linkage.times_chance", 6.0),
        ("utility.surrogate.face_found", 0.5),
        ("utility.surrogate.landmark_error", 0.9),
        ("utility.solid.changed_outside", 1.0),
        ("leak.open_share", 0.3),
        ("coverage.boxes_well_covered", 0.2),
        ("privacy.valid", False),
        ("privacy.face.solid.times_chance", 8.0),
        ("privacy.face.solid.times_chance", None),
    ],
)
def test_one_bad_figure_closes_the_gate_and_is_named(path: str, value: object) -> None:
    figures = copy.deepcopy(GOOD)
    *way, leaf = path.split(".")
    place = figures
    for step in way:
        place = place[step]
    place[leaf] = value
    verdict = judge(figures, PARAMS)
    assert not verdict.passed
    assert path in " ".join(verdict.reasons)


@pytest.mark.parametrize(
    ("times_chance", "linkage", "passes"), [(1.6, 1.0, True), (6.0, 1.0, False), (1.6, 6.0, False)]
)
def test_averages_of_people_are_held_to_their_bounds_where_there_are_any(
    times_chance: float, linkage: float, passes: bool
) -> None:
    figures = copy.deepcopy(GOOD)
    figures["privacy"]["face"]["averages"] = {"times_chance": times_chance, "linkage": {"times_chance": linkage}}
    assert judge(figures, PARAMS).passed is passes


def test_a_judge_that_is_not_valid_closes_the_gate_however_low_the_risk() -> None:
    figures = copy.deepcopy(GOOD)
    figures["privacy"] = {"valid": False, "people": 3}
    assert not judge(figures, PARAMS).passed
