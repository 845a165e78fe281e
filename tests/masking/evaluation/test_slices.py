import numpy as np
import pytest

from masking.evaluation.slices import SLICES, Labelled, turned
from masking.face.procedural import Capture, Identity, portrait

SIDE = 120


@pytest.fixture(scope="module")
def scene() -> Labelled:
    rng = np.random.default_rng(4)
    shown = portrait(Identity.draw(rng), Capture.draw(rng, turn=0.2), SIDE)
    return Labelled(shown.pixels[:, 8:], (shown.box - [8, 0, 8, 0])[None], (shown.landmarks - [8, 0])[None])


def retaken(name: str, scene: Labelled) -> Labelled:
    return SLICES[name](scene, np.random.default_rng(1))


@pytest.mark.parametrize("name", SLICES)
def test_a_slice_repeats_changes_the_picture_and_leaves_the_original(name, scene):
    before = scene.pixels.copy()
    first, again = retaken(name, scene), retaken(name, scene)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(scene.pixels, before)
    assert first.pixels.dtype == np.uint8
    assert first.pixels.shape != before.shape or not np.array_equal(first.pixels, before)
    assert len(first.boxes) == len(first.landmarks) == 1


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_labels_turn_with_the_picture(quarters, scene):
    marked = scene.pixels * 0
    x, y = np.round(scene.landmarks[0, 0]).astype(int)
    marked[y - 1 : y + 2, x - 1 : x + 2] = 255
    after = turned(quarters)(Labelled(marked, scene.boxes, scene.landmarks), np.random.default_rng(0))
    lit = np.argwhere(after.pixels[..., 0] > 0).mean(axis=0)[::-1]
    assert lit == pytest.approx(after.landmarks[0, 0], abs=1.6)
    x1, y1, x2, y2 = after.boxes[0]
    assert x1 < x2
    assert y1 < y2
    assert ((after.landmarks[0] > [x1, y1]) & (after.landmarks[0] < [x2, y2])).all()


def test_four_quarters_are_none(scene):
    half = turned(2)(turned(2)(scene, np.random.default_rng(0)), np.random.default_rng(0))
    np.testing.assert_array_equal(half.pixels, scene.pixels)
    np.testing.assert_allclose(half.boxes, scene.boxes, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "hidden", "shown"), [("medical_mask", (3, 4), (0, 1)), ("sunglasses", (0, 1), (3, 4))]
)
def test_what_is_worn_hides_its_part_of_the_face(name, hidden, shown, scene):
    changed = np.abs(retaken(name, scene).pixels.astype(int) - scene.pixels).max(axis=2) > 0
    at = np.round(scene.landmarks[0]).astype(int)
    assert changed[at[list(hidden), 1], at[list(hidden), 0]].all()
    assert not changed[at[list(shown), 1], at[list(shown), 0]].any()


@pytest.mark.parametrize("name", ["medical_mask", "sunglasses"])
def test_faces_whose_landmarks_nobody_knows_are_left_out(name, scene):
    unknown = Labelled(scene.pixels, scene.boxes, np.full_like(scene.landmarks, np.nan))
    after = retaken(name, unknown)
    assert after.boxes.shape == (0, 4)
    np.testing.assert_array_equal(after.pixels, scene.pixels)


def test_dark_is_dark_and_blurred_is_soft(scene):
    assert retaken("dark", scene).pixels.mean() < 0.6 * scene.pixels.mean()
    edges = [np.abs(np.diff(each.pixels.astype(int), axis=1)).mean() for each in (retaken("blurred", scene), scene)]
    assert edges[0] < 0.7 * edges[1]
