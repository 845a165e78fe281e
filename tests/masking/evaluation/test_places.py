from collections.abc import Sequence

import pytest

from masking.evaluation.open_faces import Finding
from masking.evaluation.places import FOLLOWED, Places

HERE = (10.0, 10.0, 50.0, 60.0)
BESIDE = (12.0, 11.0, 52.0, 61.0)
ELSEWHERE = (200.0, 10.0, 240.0, 60.0)


def seen(frame: int, score: float, box: tuple[float, ...] = HERE) -> Finding:
    return Finding("open_face", "a face", frame, box, score)


def taken(looks: Sequence[Sequence[Finding]]) -> Places:
    places = Places()
    for look in looks:
        places.take(look)
    return places


@pytest.mark.parametrize(
    ("scores", "confirmed"),
    [([0.5], 1), ([0.9], 1), ([0.49], 0), ([0.4] * 2, 0), ([0.4] * 3, 1), ([0.3] * 7, 0), ([0.3] * 8, 1),
     ([0.2] * 10, 0), ([0.2] * FOLLOWED, 1)],
)  # fmt: skip
def test_weak_looks_must_be_many(scores: list[float], confirmed: int) -> None:
    places = taken([[seen(frame, score)] for frame, score in enumerate(scores)])
    assert (len(list(places.confirmed())), len(list(places.unconfirmed()))) == (confirmed, 1 - confirmed)
    assert places.in_question == (not confirmed)


def test_what_moves_a_little_is_one_and_what_is_elsewhere_another() -> None:
    places = taken([[seen(0, 0.4), seen(0, 0.4, ELSEWHERE)], [seen(1, 0.4, BESIDE)], [seen(2, 0.45)]])
    (face,) = places.confirmed()
    assert (face.frame, face.score) == (2, 0.45)
    assert face.text.endswith("seen in 3 frames from 0 to 2")
    (other,) = places.unconfirmed()
    assert other.box == ELSEWHERE


def test_two_beside_each_other_do_not_confirm_each_other() -> None:
    places = taken([[seen(0, 0.45), seen(0, 0.45, BESIDE)]])
    assert (len(list(places.confirmed())), len(list(places.unconfirmed()))) == (0, 2)


def test_one_look_may_miss_and_two_end_it() -> None:
    assert len(list(taken([[seen(0, 0.45)], [], [seen(2, 0.45)]]).confirmed())) == 1
    gone = taken([[seen(0, 0.45)], [], []])
    assert not gone.in_question
    gone.take([seen(3, 0.45)])
    assert len(list(gone.unconfirmed())) == 2


def test_nobody_is_followed_for_ever() -> None:
    weak = taken([[seen(frame, 0.1)] for frame in range(FOLLOWED)])
    assert not weak.in_question
