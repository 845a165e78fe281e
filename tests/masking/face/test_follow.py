from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from masking.errors import ModelError
from masking.evaluation.detection import coverage
from masking.face.follow import Covered, Follower, FollowerSettings
from masking.face.region import regions
from masking.face.seen import Seen
from masking.types import Faces

WIDTH, HEIGHT = 192, 128
ALL = FollowerSettings(least_px=0.0)


@dataclass(frozen=True)
class Shot:
    """A frame drawn here, and the boxes of the faces in it."""

    index: int
    luma: np.ndarray
    truth: np.ndarray
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def seconds(self) -> float:
        return self.index / 25

    def rgb(self, scale: float = 1.0) -> np.ndarray:
        raise AssertionError("the follower looks through the detector alone")


def texture(seed: int, height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).uniform(0, 255, (height // 8 + 2, width // 8 + 2))
    fine = np.kron(coarse, np.ones((8, 8)))[:height, :width]
    return (fine + np.roll(fine, 3, 0) + np.roll(fine, 3, 1)) / 3


def shots(scenes: list[tuple[int, int, float, float]]) -> Iterator[Shot]:
    """Draw scenes of (seed, frames, speed across, speed down), each with two faces; the picture changes in between."""
    index = 0
    for seed, frames, across, down in scenes:
        ground = texture(seed, HEIGHT, WIDTH) * 0.6 + (seed % 4) * 30
        faces = [texture(seed + 100 + n, 36, 28) for n in range(2)]
        for t in range(frames):
            picture, boxes = ground.copy(), []
            for n, face in enumerate(faces):
                x, y = round(24 + 90 * n + across * t), round(30 + 10 * n + down * t)
                picture[y : y + 36, x : x + 28] = face
                boxes.append([x, y, x + 28, y + 36])
            yield Shot(index, np.clip(picture, 0, 255).astype(np.uint8), np.array(boxes, np.float32))
            index += 1


class Eye:
    """Knows the truth, and misses each face now and then, never twice on end."""

    def __init__(self, misses: list[bool], score: float = 0.8) -> None:
        self.misses, self.score = misses, score
        self.looks: list[tuple[int, float]] = []
        self._missed: set[int] = set()

    def __call__(self, frame: Shot, scale: float, threshold: float) -> Faces:
        drawn = [self.misses[(2 * len(self.looks) + n) % len(self.misses)] for n in range(len(frame.truth))]
        self.looks.append((frame.index, scale))
        self._missed = {n for n, miss in enumerate(drawn) if miss and n not in self._missed}
        boxes = frame.truth[[n for n in range(len(frame.truth)) if n not in self._missed]]
        if self.score < threshold:
            boxes = boxes[:0]
        marks = np.repeat(boxes.reshape(-1, 2, 2).mean(axis=1)[:, None], 5, axis=1)
        return Faces(boxes, np.full(len(boxes), self.score, np.float32), marks)


def follow(film: list[Shot], eye: Eye, chosen: FollowerSettings) -> list[Covered[Shot]]:
    follower, done = Follower[Shot](eye, chosen), []
    for fed, shot in enumerate(film, 1):
        done += follower.feed(shot)
        assert fed - len(done) <= chosen.look_ahead
    return done + follower.finish()


def enlarged(film: list[Shot], by: int) -> list[Shot]:
    return [
        Shot(shot.index, np.kron(shot.luma, np.ones((by, by), np.uint8)), shot.truth * by, shot.width * by, HEIGHT * by)
        for shot in film
    ]


def bare(covered: Covered[Shot]) -> float:
    width, height = covered.frame.width, covered.frame.height
    mask = np.zeros((height, width), bool)
    for region in regions(covered.faces, width, height):
        mask[region.rows, region.columns] |= region.inside
    return float(1 - coverage(covered.frame.truth, mask).min(initial=1))


SCENES = st.lists(
    st.tuples(st.integers(0, 9), st.integers(6, 20), st.floats(-0.9, 1.5), st.floats(-1.2, 2.0)), min_size=1, max_size=3
)
QUICK = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(SCENES, st.lists(st.booleans(), min_size=7, max_size=31))
def test_no_frame_of_a_moving_face_is_open_whatever_single_looks_miss(scenes, misses) -> None:
    film = list(shots(scenes))
    assert max(bare(covered) for covered in follow(film, Eye(misses), ALL)) < 0.1


@QUICK
@given(SCENES, st.integers(0, 30), st.lists(st.booleans(), min_size=1, max_size=9))
def test_every_frame_comes_back_once_and_in_order(scenes, look_ahead, misses) -> None:
    film = list(shots(scenes))
    done = follow(film, Eye(misses), replace(ALL, look_ahead=look_ahead))
    assert [covered.frame.index for covered in done] == list(range(len(film)))
    for covered in done:
        assert len(covered.faces) == len(covered.tracks) == len(covered.how) == len(set(covered.tracks))


def test_all_before_a_cut_is_given_before_the_new_scene_is_looked_at() -> None:
    film, eye = list(shots([(1, 9, 0, 0), (2, 9, 0, 0)])), Eye([False])
    follower = Follower[Shot](eye, ALL)
    assert [covered for shot in film[:9] for covered in follower.feed(shot)] == []
    done = follower.enter(film[9], Seen.of(film[9]))
    assert [covered.frame.index for covered in done] == list(range(9))
    assert max(bare(covered) for covered in done) < 0.1
    assert eye.looks[-1][0] == 8
    assert follower.decide() == []
    assert eye.looks[-1][0] == 9


def test_live_answers_each_frame_at_once_and_looks_at_it() -> None:
    film, eye = list(shots([(1, 12, 1, 1)])), Eye([False])
    follower = Follower[Shot](eye, FollowerSettings.live())
    for shot in film:
        (covered,) = follower.feed(shot)
        assert covered.frame is shot
        assert covered.how == ("detected", "detected")
        assert bare(covered) < 0.1
    assert follower.finish() == []
    assert [index for index, _ in eye.looks] == list(range(12))


def test_live_holds_a_face_that_a_look_misses() -> None:
    film, follower = list(shots([(1, 12, 1, 1)])), Follower[Shot](Eye([False, True, False]), FollowerSettings.live())
    ways = [follower.feed(shot)[0] for shot in film]
    assert {how for covered in ways[4:] for how in covered.how} == {"detected", "held"}
    assert max(bare(covered) for covered in ways[4:]) < 0.1


def test_few_frames_are_looked_at_and_both_ends_and_both_sides_of_a_cut_in_full() -> None:
    film, eye = list(shots([(1, 22, 0.5, 0.5), (2, 21, 0.5, 0.5)])), Eye([False])
    follow(film, eye, ALL)
    assert {(0, 1.0), (21, 1.0), (22, 1.0), (42, 1.0)} <= set(eye.looks)
    assert len(eye.looks) < len(film) / 2
    assert any(scale < 1 for _, scale in eye.looks)


@pytest.mark.parametrize("by", [1, 3, 10])
def test_a_face_that_is_found_in_few_pixels_alone_is_found_in_pictures_of_every_size(by) -> None:
    class Afar(Eye):
        def __call__(self, frame: Shot, scale: float, threshold: float) -> Faces:
            found = super().__call__(frame, scale, threshold)
            return found if scale * frame.width <= 320 else found[:0]

    film = enlarged(list(shots([(1, 7, 0.5, 0.5), (2, 7, 0.5, 0.5)])), by)
    assert max(bare(covered) for covered in follow(film, Afar([False]), ALL)) < 0.1


def test_a_face_that_one_of_two_looks_at_a_frame_finds_is_not_missed_there() -> None:
    class Coarse(Eye):
        def __call__(self, frame: Shot, scale: float, threshold: float) -> Faces:
            found = super().__call__(frame, scale, threshold)
            return found if frame.index == 0 or scale == 0.5 else found[:0]

    film, eye = enlarged(list(shots([(1, 5, 0.5, 0.5)])), 2), Coarse([False])
    *_, last = follow(film, eye, ALL)
    assert {(4, 0.5), (4, 1.0)} <= set(eye.looks)
    assert last.how == ("detected", "detected")


def test_numbers_stay_with_the_faces_through_a_scene_and_end_at_the_cut() -> None:
    film = list(shots([(1, 20, 1, 1), (2, 20, 1, 1)]))
    done = follow(film, Eye([False, False, True]), ALL)
    first, second = ({number for covered in part for number in covered.tracks} for part in (done[:20], done[20:]))
    assert len(first) == len(second) == 2
    assert not first & second


def test_a_face_that_scores_below_the_threshold_is_not_covered_and_one_above_continues_below() -> None:
    film = list(shots([(1, 20, 0.5, 0.5)]))
    assert not any(covered.tracks for covered in follow(film, Eye([False], score=0.05), ALL))
    eye = Eye([False], score=0.5)
    follower, done = Follower[Shot](eye, ALL), []
    for shot in film:
        done += follower.feed(shot)
        eye.score = 0.09
    assert all(len(covered.tracks) == 2 for covered in done + follower.finish())


def test_a_sure_face_that_vanishes_while_nothing_moves_is_held_and_doubted() -> None:
    film = list(shots([(1, 80, 0, 0)]))
    eye = Eye([False])
    follower, done = Follower[Shot](eye, replace(ALL, calm_stride=2)), []
    for shot in film:
        eye.score = 0.8 if shot.index < 30 else 0.0
        done += follower.feed(shot)
    done += follower.finish()
    doubted = [covered.frame.index for covered in done if covered.doubt]
    assert doubted
    assert min(doubted) > 30
    assert max(bare(covered) for covered in done[:54]) < 0.1


def test_a_face_that_is_followed_to_the_end_is_never_doubted() -> None:
    film = list(shots([(1, 60, 0.5, 0.4), (3, 20, 1, 1)]))
    assert not any(covered.doubt for covered in follow(film, Eye([False, False, False, True]), ALL))


def test_an_empty_stream_and_one_of_a_single_frame() -> None:
    assert Follower[Shot](Eye([False])).finish() == []
    (covered,) = follow(list(shots([(1, 1, 0, 0)])), Eye([False]), ALL)
    assert covered.how == ("detected", "detected")


def test_what_the_detector_raises_is_raised() -> None:
    def broken(frame: Shot, scale: float, threshold: float) -> Faces:
        raise ModelError("broken")

    with pytest.raises(ModelError):
        Follower[Shot](broken).feed(next(shots([(1, 1, 0, 0)])))


@pytest.mark.parametrize(
    "wrong",
    [{"look_ahead": -1}, {"stride": 0}, {"fine_every": 0}, {"coarse": 0.0}, {"coarse": 1.0}, {"overview_px": 0}],
)
def test_settings_that_make_no_sense_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match="must"):
        FollowerSettings(**wrong)
