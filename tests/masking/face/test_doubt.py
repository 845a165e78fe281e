"""Frames that are doubted as a whole: in which of them may a face be that no detector finds?"""

from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
import pytest

from masking.evaluation.detection import coverage
from masking.face.cuts import change, likeness, thumb
from masking.face.detectors import Detector
from masking.face.doubt import DIM, WORSE, Eyes, Sight, sight
from masking.face.flow import carry, levelled, view
from masking.face.follow import Covered, Follower, FollowerSettings
from masking.face.procedural import Capture, Identity, portrait
from masking.face.region import regions
from masking.face.seen import Seen
from masking.media.array_frame import ArrayFrame
from masking.video import looking

SECOND = 25
SIDE = 256
CLEAR, DIMMED, BLANK = Sight(150, 200, 90, 5), Sight(9, 12, 6, 0.4), Sight(1, 1, 0.5, 0.2)


@cache
def scene() -> np.ndarray:
    """Somebody before a wall with a pattern, the left half of it in the light."""
    rng = np.random.default_rng(2)
    wall = np.kron(rng.uniform(30, 150, (SIDE // 16, SIDE // 16, 1)), np.ones((16, 16, 3)))
    wall[:, : SIDE // 2] += 60
    shown = portrait(Identity.draw(np.random.default_rng(3)), replace(Capture.draw(rng), yaw=0.0, exposure=1.0), 120)
    wall[60:180, 70:190] = shown.pixels
    return wall.astype(np.uint8)


def darker(pixels: np.ndarray, share: float, grain: int = 0) -> np.ndarray:
    noise = np.random.default_rng(grain).normal(0, 2, pixels.shape) if share < 1 else 0
    return np.clip(pixels * share + noise, 0, 255).astype(np.uint8)


def measured(pixels: np.ndarray) -> Sight:
    luma = view(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)).luma
    return sight(luma, thumb(luma))


def title(level: int) -> np.ndarray:
    card = np.full((SIDE, SIDE, 3), level, np.uint8)
    cv2.putText(card, "THE END", (60, 130), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255 - level,) * 3, 3)
    return card


@pytest.mark.parametrize(
    ("make", "dim", "blank"),
    [
        (scene, False, False),
        (lambda: darker(scene(), 0.25), False, False),
        (lambda: darker(scene(), 0.1), True, False),
        (lambda: np.uint8(120) + darker(scene(), 0.1), False, False),
        (lambda: darker(scene(), 0.04), True, False),
        (lambda: np.uint8(120) + darker(scene(), 0.03), True, False),
        (lambda: cv2.GaussianBlur(scene(), (0, 0), 4), False, False),
        (lambda: np.zeros_like(scene()), False, True),
        (lambda: darker(np.full_like(scene(), 16), 0.99), False, True),
        (lambda: title(0), False, True),
        (lambda: title(255), False, True),
    ],
)
def test_what_is_dim_and_what_shows_nothing_at_all(make, dim: bool, blank: bool) -> None:
    seen = measured(make())
    assert (seen.dim, seen.blank) == (dim, blank)


@pytest.mark.parametrize(("less", "worse"), [(0.9, False), (0.3, True)])
def test_a_frame_is_worse_when_it_is_much_darker_or_less_sharp(less: float, worse: bool) -> None:
    assert measured(darker(scene(), less)).worse(measured(scene())) == worse
    blurred = cv2.GaussianBlur(scene(), (0, 0), 0.4 if not worse else 6)
    assert measured(blurred).worse(measured(scene())) == worse


def test_a_stretch_is_dim_from_its_start_once_it_lasts_longer_than_a_fade() -> None:
    eyes = Eyes(FollowerSettings(doubt_seconds=0.5))
    film = [CLEAR] * 5 + [DIMMED] * 10 + [BLANK] * 20 + [DIMMED] * 20 + [CLEAR] * 3
    told = [eyes.blind_since(number, number / SECOND, seen, cut=False) for number, seen in enumerate(film)]
    assert told == [None] * 48 + [35] * 7 + [None] * 3


@pytest.mark.parametrize(("seconds", "doubted"), [(1, False), (3, False), (30, True)])
def test_a_fade_is_not_dim_for_long_and_nightfall_is(seconds: int, doubted: bool) -> None:
    eyes = Eyes(FollowerSettings())
    shares = np.linspace(1, 0, seconds * SECOND)
    film = [measured((scene() * share).astype(np.uint8)) for share in shares]
    told = [eyes.blind_since(number, number / SECOND, seen, cut=False) for number, seen in enumerate(film)]
    assert any(each is not None for each in told) == doubted


def follow(film: list[np.ndarray], detector: Detector, *, live: bool = False) -> list[Covered[ArrayFrame]]:
    chosen = FollowerSettings.live() if live else FollowerSettings()
    follower, done = Follower[ArrayFrame](looking(detector, "fast"), chosen), []
    for index, pixels in enumerate(film):
        done += follower.feed(ArrayFrame(index, index / SECOND, pixels))
    return done + follower.finish()


@dataclass(frozen=True)
class _SeesNothingIn:
    """A detector that is blind where the picture has less than so many levels of contrast or of detail."""

    detector: Detector
    contrast: float = 0.0
    detail: float = 0.0

    def __call__(self, pixels: np.ndarray, threshold: float):
        seen = measured(pixels)
        found = self.detector(pixels, threshold)
        return found[:0] if seen.contrast < self.contrast or seen.detail < self.detail else found


@pytest.mark.parametrize("live", [False, True])
def test_a_face_in_the_dark_is_doubted_all_the_while(detector: Detector, live: bool) -> None:
    film = [darker(scene(), 0.04, grain) for grain in range(40)]
    covered = follow(film, _SeesNothingIn(detector, contrast=12), live=live)
    doubted = [each.doubt for each in covered]
    # What was shown live before anybody could tell stays shown.
    assert set(doubted[14 if live else 0 :]) == {DIM}
    assert set(doubted[: 14 if live else 0]) <= {None, DIM}


def test_a_dim_stretch_is_doubted_from_its_start_though_a_cut_lies_in_it(detector: Detector) -> None:
    film = [np.uint8(20) + darker(scene(), 0.03)] * 8 + [np.uint8(120) + darker(scene()[::-1], 0.03)] * 12
    first, other = (Seen.of(ArrayFrame(0, 0.0, picture)) for picture in (film[0], film[-1]))
    assert change(first.thumb, other.thumb, 0.0).cut
    assert {each.doubt for each in follow(film, detector)} == {DIM}


@pytest.mark.parametrize(("how", "steps"), [("darker", 1), ("less sharp", 12)])
def test_faces_that_are_lost_as_the_picture_gets_worse_are_held_and_then_doubted(
    how: str, steps: int, detector: Detector
) -> None:
    def shown(index: int) -> np.ndarray:
        share = min(max((index - 30) / steps, 0), 1) if index < 90 else 0
        worst = darker(scene(), 1 - 0.7 * share, index)
        return worst if how == "darker" else cv2.GaussianBlur(scene(), (0, 0), 0.01 + 7 * share)

    blind = _SeesNothingIn(detector, contrast=100 if how == "darker" else 0, detail=4 if how == "less sharp" else 0)
    covered = follow([shown(index) for index in range(110)], blind)
    where = detector(scene(), 0.5).boxes
    assert {each.doubt for each in covered[70:88]} == {WORSE}
    for each in covered:
        mask = np.full(scene().shape[:2], each.doubt is not None)
        for region in regions(each.faces, SIDE, SIDE):
            mask[region.rows, region.columns] |= region.inside
        assert coverage(where, mask).min() > 0.9, each.frame.index
    assert {each.doubt for each in covered[:30] + covered[92:]} == {None}


@pytest.mark.parametrize("film", ["clear", "fade", "flash", "lights"])
def test_ordinary_stretches_are_not_doubted_and_leave_no_face_open(film: str, detector: Detector) -> None:
    def shown(index: int) -> np.ndarray:
        if film == "fade":
            return (scene() * np.clip(abs(index - 40) / 20 - 0.25, 0, 1)).astype(np.uint8)
        if film == "flash" and index % 20 == 10:
            return np.clip(scene().astype(int) + 90, 0, 255).astype(np.uint8)
        return darker(scene(), 0.3, index) if film == "lights" and index >= 30 else scene()

    covered = follow([shown(index) for index in range(80)], detector)
    where = detector(scene(), 0.5).boxes
    for each in covered:
        assert each.doubt is None
        if each.frame.rgb().max() > 16:
            mask = np.zeros(scene().shape[:2], bool)
            for region in regions(each.faces, SIDE, SIDE):
                mask[region.rows, region.columns] |= region.inside
            assert coverage(where, mask).min() > 0.9, each.frame.index


def test_light_that_changes_is_no_cut_and_another_picture_is() -> None:
    bright, dark = (thumb(cv2.cvtColor(darker(scene(), share), cv2.COLOR_RGB2GRAY)) for share in (1.0, 0.2))
    other = thumb(np.ascontiguousarray(cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY)[:, ::-1].T))
    assert likeness(bright.picture, dark.picture) > 0.9
    assert likeness(bright.picture, np.zeros_like(bright.picture)) == 0
    assert not change(bright, dark, 0.5).cut
    assert change(bright, dark, 0.5).jolt
    assert change(bright, other, 0.5).cut


@pytest.mark.parametrize("share", [0.8, 0.5, 0.2])
def test_flow_does_not_take_a_fade_for_movement(share: float) -> None:
    luma = cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY)
    faded = (np.roll(luma, 3, axis=1) * share).astype(np.uint8)
    box = np.array([[90, 80, 150, 150]], np.float32)
    shift, trust = carry(view(luma), view(faded), box)
    np.testing.assert_allclose(shift, [[3, 0]], atol=0.7)
    assert trust[0] > 0.5


def test_only_a_fade_is_levelled() -> None:
    luma = cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY)
    assert np.abs(levelled(view((luma * 0.5).astype(np.uint8)), view(luma)).astype(int) - luma).max() <= 4
    for kept in (luma, np.zeros_like(luma), (luma[::-1] * 0.5).astype(np.uint8)):
        assert (levelled(view(kept), view(luma)) == kept).all()
