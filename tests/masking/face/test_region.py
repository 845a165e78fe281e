import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masking.face.region import Region, regions, silhouette, upright_turn
from masking.types import Faces

WIDTH, HEIGHT = 120, 90
FACE = np.array([[-12, -8], [12, -8], [0, 4], [-9, 15], [9, 15]], np.float32)
HALF = np.array([25, 32], np.float32)
# Points of the same head: hairline, chin, and the outer edges of both ears.
HEAD = np.array([[0, -34], [0, 33], [-31, 0], [31, 0]], np.float32)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    x1, y1 = draw(st.floats(0, WIDTH - 1)), draw(st.floats(0, HEIGHT - 1))
    return x1, y1, draw(st.floats(x1 + 1, WIDTH + 1)), draw(st.floats(y1 + 1, HEIGHT + 1))


def faces(*rows: tuple[float, float, float, float], landmarks: np.ndarray | None = None, score: float = 1.0) -> Faces:
    n = len(rows)
    points = np.zeros((n, 5, 2), np.float32) if landmarks is None else landmarks
    return Faces(np.array(rows, np.float32).reshape(n, 4), np.full(n, score, np.float32), points)


def covered(region: Region, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[region.rows, region.columns] = region.inside
    return mask


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[cosine, sine], [-sine, cosine]])


@given(boxes(), st.lists(st.floats(-200, 300, width=32), min_size=10, max_size=10), st.floats(0, 1))
def test_a_region_lies_in_the_picture_and_covers_its_box_whatever_the_landmarks(
    box: tuple[float, float, float, float], points: list[float], score: float
) -> None:
    landmarks = np.array(points, np.float32).reshape(1, 5, 2)
    (region,) = regions(faces(box, landmarks=landmarks, score=score), WIDTH, HEIGHT)
    assert region.inside.shape == (region.rows.stop - region.rows.start, region.columns.stop - region.columns.start)
    assert 0 <= region.rows.start < region.rows.stop <= HEIGHT
    assert 0 <= region.columns.start < region.columns.stop <= WIDTH
    x1, y1, x2, y2 = box
    assert covered(region)[int(np.floor(y1)) : int(np.ceil(y2)), int(np.floor(x1)) : int(np.ceil(x2))].all()


@pytest.mark.parametrize("degrees", [0, 25, -40, 90, 180, 270])
@pytest.mark.parametrize("score", [0.2, 1.0])
def test_hairline_chin_and_ears_lie_under_the_mask_of_a_turned_head(degrees: float, score: float) -> None:
    middle = np.array([120, 110])
    angle = np.linspace(0, 2 * np.pi, 60)
    outline = turned(np.stack([HALF[0] * np.cos(angle), HALF[1] * np.sin(angle)], 1), degrees) + middle
    landmarks = (turned(FACE, degrees) + middle).astype(np.float32)[None]
    box = (*outline.min(0), *outline.max(0))
    (region,) = regions(faces(box, landmarks=landmarks, score=score), 240, 220)
    mask = covered(region, 240, 220)
    for x, y in np.concatenate([outline, turned(HEAD, degrees) + middle]):
        assert mask[int(y), int(x)]
    for x, y in turned(np.array([[0, -75], [0, 75], [-66, 0], [66, 0]]), degrees) + middle:
        assert not mask[int(y), int(x)]


def test_the_mask_grows_with_the_detectors_doubt() -> None:
    sizes = []
    for score in (0.95, 0.5, 0.2):
        (region,) = regions(faces((40, 30, 60, 56), score=score), WIDTH, HEIGHT)
        sizes.append(int(region.inside.sum()))
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("degrees", [-170, -90, -30, 0, 45, 90, 135])
def test_the_turn_is_read_from_the_landmarks(degrees: float) -> None:
    landmarks = turned(FACE, degrees).astype(np.float32)
    reach = np.abs(landmarks).max(0) * 1.3
    turn = upright_turn(np.concatenate([-reach, reach]).astype(np.float32), landmarks)
    assert turn is not None
    assert np.degrees(turn) == pytest.approx(degrees, abs=1)


@pytest.mark.parametrize(
    "landmarks",
    [
        np.zeros((5, 2)),
        np.full((5, 2), np.nan),
        FACE + 100,
        FACE * [1, 0.05],
        FACE * [-1, 1],
    ],
    ids=["in one point", "not numbers", "elsewhere", "flat", "mirrored"],
)
def test_landmarks_that_cannot_be_true_are_not_believed(landmarks: np.ndarray) -> None:
    box = np.array([-25, -30, 25, 30], np.float32)
    assert upright_turn(box, landmarks.astype(np.float32)) is None
    shifted = landmarks.astype(np.float32) + np.array([60, 45], np.float32)
    plain, odd = (
        next(iter(regions(faces((35, 15, 85, 75), landmarks=points), WIDTH, HEIGHT)))
        for points in (np.zeros((1, 5, 2), np.float32), shifted[None])
    )
    assert (covered(plain) == covered(odd)).all()


def test_the_face_is_given_in_pixels_of_the_patch() -> None:
    landmarks = (FACE * 0.5 + [60, 45]).astype(np.float32)[None]
    (region,) = regions(faces((48, 30, 72, 60), landmarks=landmarks), WIDTH, HEIGHT, [7])
    start = np.array([region.columns.start, region.rows.start])
    assert (region.face.box + np.tile(start, 2)).tolist() == [48, 30, 72, 60]
    assert region.face.landmarks + start == pytest.approx(landmarks[0])
    assert (region.face.face_px, region.face.draw) == (24, 7)
    assert region.face.inside is region.inside
    assert not region.inside[[0, -1]].any()
    assert not region.inside[:, [0, -1]].any()


def test_what_no_mask_covers_is_known_to_each_face() -> None:
    found = faces((20, 30, 40, 54), (46, 30, 66, 54))
    visible = np.ones((HEIGHT, WIDTH), bool)
    for region in regions(found, WIDTH, HEIGHT):
        visible &= ~covered(region)
    for region in regions(found, WIDTH, HEIGHT):
        assert (region.face.beside == visible[region.rows, region.columns]).all()


@given(st.lists(boxes(), max_size=4), st.floats(0, 180), st.floats(0, 1))
def test_the_silhouette_is_what_the_regions_cover(
    rows: list[tuple[float, float, float, float]], degrees: float, score: float
) -> None:
    landmarks = np.array([turned(FACE * 0.5, degrees) + np.reshape(row, (2, 2)).mean(0) for row in rows], np.float32)
    found = faces(*rows, landmarks=landmarks.reshape(-1, 5, 2), score=score)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    for region in regions(found, WIDTH, HEIGHT):
        expected |= covered(region)
    area = silhouette(found, WIDTH, HEIGHT)
    shown = np.zeros((HEIGHT, WIDTH), bool)
    if area is not None:
        shown[area[0], area[1]] = area[2]
    assert (area is None) == (not rows)
    assert (shown == expected).all()


def test_every_face_has_a_region_and_a_draw() -> None:
    assert list(regions(Faces.none(), WIDTH, HEIGHT)) == []
    with pytest.raises(ValueError, match="argument"):
        list(regions(faces((1, 1, 9, 9)), WIDTH, HEIGHT, [1, 2]))
