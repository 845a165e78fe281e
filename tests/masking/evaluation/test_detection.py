import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from masking.evaluation.detection import coverage, evaluate_detection, iou_matrix, wilson
from masking.types import Faces

# A busy machine may take its time over one example.
unhurried = settings(deadline=None)
EVERY_SIZE = ((0, math.inf),)


def faces(*rows: tuple[float, ...]) -> Faces:
    """Detections from rows of box and score."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    table = table[np.argsort(-table[:, 4], kind="stable")]
    return Faces(table[:, :4], table[:, 4], np.zeros((len(table), 5, 2), np.float32))


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


@st.composite
def box_lists(draw, max_size=6, least_side=1):
    """Boxes on a coarse grid, so that equal boxes and equal overlaps do occur."""
    corner, side = st.integers(0, 40), st.integers(least_side, 40)
    rows = draw(st.lists(st.tuples(corner, corner, side, side), max_size=max_size))
    return boxes(*((x, y, x + w, y + h) for x, y, w, h in rows))


@st.composite
def image_sets(draw):
    """Labelled boxes and detections of up to four images; many scores are equal."""
    truth = draw(st.lists(box_lists(), min_size=1, max_size=4))
    found = []
    for _ in truth:
        detected = draw(box_lists())
        scores = draw(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=len(detected), max_size=len(detected)))
        found.append(faces(*((*tuple(box), score) for box, score in zip(detected, scores, strict=True))))
    return truth, found


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (0, 0, 5, 5), 0.25),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),
        ((0, 0, 10, 10), (30, 30, 31, 31), 0.0),
        ((5, 5, 5, 5), (5, 5, 5, 5), 0.0),
    ],
    ids=["same", "half shifted", "quarter inside", "touching", "apart", "no area"],
)
def test_iou_of_two_boxes(a, b, expected):
    assert iou_matrix(boxes(a), boxes(b))[0, 0] == pytest.approx(expected)


@unhurried
@given(box_lists(), box_lists())
def test_iou_is_symmetric_and_a_share(a, b):
    overlap = iou_matrix(a, b)
    assert overlap.shape == (len(a), len(b))
    assert np.array_equal(overlap, iou_matrix(b, a).T)
    assert ((overlap >= 0) & (overlap <= 1)).all()
    assert np.array_equal(np.diag(iou_matrix(a, a)), np.ones(len(a)))


@unhurried
@given(st.lists(box_lists(), min_size=1, max_size=4))
def test_a_perfect_detector_reaches_every_best_figure(truth):
    assume(any(len(labels) for labels in truth))
    found = [faces(*((*tuple(box), 0.9) for box in labels)) for labels in truth]
    figures = evaluate_detection(truth, found, iou=1.0)
    assert figures.recall.value == figures.complete.value == figures.precision == figures.average_precision == 1.0
    assert figures.false_positives_per_image == 0.0


@unhurried
@given(image_sets(), st.randoms(use_true_random=False))
def test_the_order_of_images_labels_and_detections_changes_nothing(images, random):
    truth, found = images
    figures = evaluate_detection(truth, found)
    order = random.sample(range(len(truth)), len(truth))
    truth = [truth[i][random.sample(range(len(truth[i])), len(truth[i]))] for i in order]
    found = [found[i][np.array(random.sample(range(len(found[i])), len(found[i])), np.intp)] for i in order]
    np.testing.assert_equal(evaluate_detection(truth, found), figures)


@unhurried
@given(image_sets())
def test_bands_divide_the_faces_and_figures_are_shares(images):
    figures = evaluate_detection(*images)
    assert sum(band.recall.n for band in figures.bands) == figures.recall.n == sum(map(len, images[0]))
    shares = [figures.recall.value, figures.complete.value, figures.precision, figures.average_precision]
    assert all(math.isnan(share) or 0 <= share <= 1 for share in shares)
    if figures.recall.n:
        assert figures.average_precision <= figures.recall.value + 1e-12


def test_recall_precision_and_complete_photos_of_a_worked_example():
    truth = [boxes((0, 0, 12, 20), (50, 50, 90, 90)), boxes((0, 0, 25, 25)), boxes()]
    found = [
        faces((50, 50, 90, 90, 0.9), (52, 52, 92, 92, 0.8)),  # the second finds the same face again
        faces((1, 1, 26, 26, 0.7)),
        faces((5, 5, 9, 9, 0.3)),
    ]
    figures = evaluate_detection(truth, found)
    assert figures.images == 3
    assert (figures.recall.value, figures.recall.n) == (pytest.approx(2 / 3), 3)
    assert figures.precision == 0.5
    assert figures.false_positives_per_image == pytest.approx(2 / 3)
    assert (figures.complete.value, figures.complete.n) == (0.5, 2)
    assert [(band.low, band.recall.n, band.recall.value) for band in figures.bands if band.recall.n] == [
        (9, 1, 0.0),
        (20, 1, 1.0),
        (30, 1, 1.0),
    ]
    # Right at ranks 1 and 3: precision 1 up to recall 1/3, then 2/3 up to 2/3, nothing beyond.
    assert figures.average_precision == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)


def test_a_surer_detection_takes_the_face_it_overlaps_most():
    truth = [boxes((0, 0, 10, 10), (4, 0, 14, 10))]
    found = [faces((4, 0, 14, 10, 0.9), (0, 0, 10, 10, 0.8))]
    assert evaluate_detection(truth, found).recall.value == 1.0


def test_a_match_needs_the_overlap_that_is_asked_for():
    truth, found = [boxes((0, 0, 10, 10))], [faces((5, 0, 15, 10, 0.9))]
    assert evaluate_detection(truth, found, iou=0.33).recall.value == 1.0
    assert evaluate_detection(truth, found, iou=0.34).recall.value == 0.0


def test_detections_of_one_score_enter_the_curve_together():
    truth = [boxes((0, 0, 10, 10)), boxes((0, 0, 10, 10))]
    found = [faces((0, 0, 10, 10, 0.5)), faces((40, 40, 50, 50, 0.5))]
    assert evaluate_detection(truth, found).average_precision == pytest.approx(0.25)


def test_what_is_not_there_to_measure_meets_no_threshold():
    for truth, found in (([], []), ([boxes()], [Faces.none()])):
        figures = evaluate_detection(truth, found, size_bands=EVERY_SIZE)
        for share in (figures.recall.value, figures.complete.value, figures.average_precision, figures.precision):
            assert math.isnan(share)
            assert not share >= 0.0
        assert (figures.recall.low, figures.recall.high) == (0.0, 1.0)


@pytest.mark.parametrize("iou", [0.0, -0.1, 1.1, math.nan])
def test_an_overlap_out_of_range_is_refused(iou):
    with pytest.raises(ValueError, match="iou"):
        evaluate_detection([], [], iou=iou)


def test_labels_without_detections_are_refused():
    with pytest.raises(ValueError, match="1 labelled images"):
        evaluate_detection([boxes()], [])


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_interval_of_published_cases(successes, trials, low, high):
    rate = wilson(successes, trials)
    assert (rate.low, rate.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@unhurried
@given(st.integers(1, 500), st.floats(0, 1))
def test_wilson_interval_holds_the_share_and_narrows_with_trials(trials, share):
    rate, more = wilson(share * trials, trials), wilson(share * trials * 4, trials * 4)
    assert 0 <= rate.low <= rate.value <= rate.high <= 1
    assert more.high - more.low < rate.high - rate.low


MASK = np.zeros((20, 30), bool)
MASK[5:15, 10:20] = True


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10, 5, 20, 15), 1.0),
        ((0, 0, 10, 5), 0.0),
        ((5, 5, 15, 15), 0.5),
        ((9.5, 5, 10.5, 15), 0.5),
        ((10, 4.75, 20, 5.25), 0.5),
        ((-10, -10, 30, 30), 100 / 600),
        ((29, 19, 40, 40), 0.0),
        ((30, 20, 40, 40), 1.0),
        ((-9, -9, -1, -1), 1.0),
    ],
    ids=["under", "beside", "half", "half a column", "half a row", "beyond all sides", "corner", "outside", "above"],
)
def test_coverage_of_a_box(box, expected):
    assert coverage(boxes(box), MASK) == pytest.approx([expected])


@unhurried
@given(box_lists(), st.integers(0, 2**32 - 1))
def test_coverage_of_whole_pixels_is_their_mean(labels, seed):
    mask = np.random.default_rng(seed).random((90, 90)) < 0.5
    expected = [mask[int(y1) : int(y2), int(x1) : int(x2)].mean() for x1, y1, x2, y2 in labels]
    assert coverage(labels, mask) == pytest.approx(np.array(expected))
    assert coverage(labels, mask) + coverage(labels, ~mask) == pytest.approx(np.ones(len(labels)))
