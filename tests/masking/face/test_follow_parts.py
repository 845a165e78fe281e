import numpy as np
import pytest

from masking.face.coverage import between, grown, inside
from masking.face.cuts import change, thumb
from masking.face.flow import FLOW_PX, LONGEST_PX, carry, view
from masking.face.pace import FollowerSettings, first_scales, last_scales, scales
from masking.face.track import match


def noise(seed: int, grain: int = 8) -> np.ndarray:
    coarse = np.random.default_rng(seed).uniform(20, 235, (120 // grain, 160 // grain))
    return np.kron(coarse, np.ones((grain, grain))).astype(np.uint8)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, 0), (0, -4), (5, 2)])
@pytest.mark.parametrize("enlarge", [1, 6])
def test_flow_gives_the_shift_in_pixels_of_the_frame(dx: int, dy: int, enlarge: int) -> None:
    before = np.kron(noise(1, 8 if enlarge == 1 else 2), np.ones((enlarge, enlarge), np.uint8))
    after = np.roll(before, (dy * enlarge, dx * enlarge), (0, 1))
    boxes = np.array([[40, 40, 80, 80], [90, 50, 110, 75]], np.float32) * enlarge
    shifts, trust = carry(view(before), view(after), boxes)
    np.testing.assert_allclose(shifts, [[dx * enlarge, dy * enlarge]] * 2, atol=0.6 * enlarge)
    assert (trust > 0.7).all()


def test_flow_outside_the_picture_is_not_trusted_and_stays() -> None:
    picture = view(noise(1))
    shifts, trust = carry(picture, picture, np.array([[500, 500, 540, 540]], np.float32))
    assert shifts.tolist() == [[0, 0]]
    assert trust.tolist() == [0]


@pytest.mark.parametrize("size", [(1, 1), (7, 640), (360, 640), (1080, 1920), (1920, 1080), (2161, 3841), (3, 5000)])
def test_a_view_is_small_and_knows_by_how_much(size: tuple[int, int]) -> None:
    luma = np.full(size, 90, np.uint8)
    seen = view(luma)
    assert max(seen.luma.shape) <= LONGEST_PX
    assert max(seen.coarse.shape) <= (FLOW_PX if max(size) <= LONGEST_PX else LONGEST_PX)
    assert seen.scale == (seen.coarse.shape[1] / size[1], seen.coarse.shape[0] / size[0])
    luma[:] = 0
    assert (seen.coarse == 90).all()
    assert (seen.luma == 90).all()


def test_flow_of_no_box_is_empty() -> None:
    shifts, trust = carry(view(noise(1)), view(noise(1)), np.empty((0, 4), np.float32))
    assert shifts.shape == (0, 2)
    assert trust.shape == (0,)


@pytest.mark.parametrize(
    ("after", "usual", "cut"),
    [
        (noise(1), 0.0, False),
        (np.roll(noise(1), 1, 1), 4.0, False),
        (noise(2), 2.0, True),
        (np.zeros((120, 160), np.uint8), 2.0, True),
        (noise(2), 60.0, False),
    ],
    ids=["still", "moved", "other scene", "black", "all of it moves all the time"],
)
def test_a_cut_is_another_picture_and_no_movement(after: np.ndarray, usual: float, cut: bool) -> None:
    assert change(thumb(noise(1)), thumb(after), usual).cut is cut


def test_levels_are_the_percentiles_of_the_thumbnail() -> None:
    seen = thumb(np.random.default_rng(3).integers(0, 200, (360, 640)).astype(np.uint8))
    assert seen.levels(0.01, 0.1, 0.9, 1.0) == pytest.approx(np.percentile(seen.picture, (1, 10, 90, 100)))


@pytest.mark.parametrize(
    ("longest", "first", "last", "quick", "close"),
    [
        (200, [200], [200], [100], [200]),
        (640, [640, 320], [640, 320], [320], [640]),
        (1920, [1920, 960, 480, 320], [1280, 640, 320], [640, 320], [1280]),
        (3840, [3840, 1920, 960, 480, 320], [1280, 640, 320], [640, 320], [1280]),
    ],
)
def test_pictures_of_every_size_are_seen_in_as_few_pixels(
    longest: int, first: list[int], last: list[int], quick: list[int], close: list[int]
) -> None:
    chosen = FollowerSettings()
    taken = (
        first_scales(chosen, longest),
        last_scales(chosen, longest),
        scales(chosen, 1, [], longest),
        scales(chosen, 2, [], longest),
        scales(chosen, chosen.full_every, [], longest),
    )
    assert [[round(scale * longest) for scale in each] for each in taken] == [first, last, quick, close, [longest]]


def test_calm_and_busy() -> None:
    assert change(thumb(noise(1)), thumb(noise(1)), 0).calm
    assert change(thumb(noise(1)), thumb(noise(2)), 60).busy


@pytest.mark.parametrize(
    ("tracks", "faces", "pairs"),
    [
        ([[0, 0, 10, 10], [50, 0, 60, 10]], [[51, 0, 61, 10], [1, 0, 11, 10]], [(0, 1), (1, 0)]),
        ([[0, 0, 10, 10]], [[40, 0, 50, 10]], []),
        ([[0, 0, 10, 10]], [[0, 0, 40, 40]], []),
        ([[0, 0, 10, 10], [4, 0, 14, 10]], [[4, 0, 14, 10]], [(1, 0)]),
        ([], [[0, 0, 1, 1]], []),
    ],
    ids=["crosswise", "too far", "another size", "the nearer one", "none"],
)
def test_matching(tracks: list[list[float]], faces: list[list[float]], pairs: list[tuple[int, int]]) -> None:
    assert match(np.array(tracks, np.float32).reshape(-1, 4), np.array(faces, np.float32)) == pairs


def test_a_box_between_takes_in_the_flow_and_what_was_seen() -> None:
    followed, end = np.array([10, 10, 20, 20], np.float32), np.array([14, 10, 24, 20], np.float32)
    seen = np.array([18, 10, 28, 20], np.float32)
    assert between(followed, end, seen, 0.5).tolist() == [10, 10, 22, 20]
    assert between(followed, end, end, 0.5).tolist() == followed.tolist()


def test_boxes_grow_with_time_and_distrust_about_their_centre() -> None:
    box = np.array([10, 10, 30, 50], np.float32)
    areas = [
        np.prod(np.ptp(grown(box, frames, trust).reshape(2, 2), axis=0)) for frames, trust in ((0, 1), (3, 1), (3, 0))
    ]
    assert areas[0] == 800
    assert areas[0] < areas[1] < areas[2]
    np.testing.assert_allclose(grown(box, 9, 0.2).reshape(2, 2).mean(axis=0), [20, 30])


def test_the_share_of_a_box_in_the_picture() -> None:
    assert inside(np.array([-10, 0, 10, 10], np.float32), 100, 100) == 0.5
    assert inside(np.array([200, 0, 210, 10], np.float32), 100, 100) == 0
    assert inside(np.array([5, 5, 5, 9], np.float32), 100, 100) == 0
