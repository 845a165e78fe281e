"""Segments of an alignment become a class for each frame."""

import numpy as np
import pytest

from pipelines.voice.network.phones import CLASSES, PHONES, SILENCE, STATES, UNKNOWN, Segment, classes_of, voiced_of


def test_every_state_of_every_phone_has_a_class_of_its_own() -> None:
    segments = [
        Segment(phone, state, STATES * i + state, 1) for i, phone in enumerate(PHONES) for state in range(STATES)
    ]
    found = classes_of(segments, STATES * len(PHONES))
    assert sorted(found.tolist()) == list(range(1, CLASSES))
    assert len(PHONES) == 39


@pytest.mark.parametrize("pause", ["SIL", "+NSN+", "+SPN+", "not a phone"])
def test_pauses_and_noises_are_silence(pause: str) -> None:
    assert (classes_of([Segment(pause, 0, 0, 5)], 5) == SILENCE).all()


def test_segments_may_reach_beyond_the_ends_and_leave_gaps() -> None:
    segments = [Segment("AA", 0, -7, 4), Segment("B", 1, -2, 4), Segment("SIL", 0, 4, 9)]
    found = classes_of(segments, 6)
    assert found.shape == (6,)
    assert found[0] == found[1] > SILENCE
    assert np.array_equal(found[2:], [UNKNOWN, UNKNOWN, SILENCE, SILENCE])


@pytest.mark.parametrize(("phone", "voiced"), [("AA", True), ("M", True), ("Z", True), ("S", False), ("HH", False)])
def test_the_voice_sounds_in_a_phone_whoever_says_it(phone: str, voiced: bool) -> None:
    classes = classes_of([Segment(phone, state, state, 1) for state in range(3)], 3)

    assert voiced_of(classes).tolist() == [voiced] * 3


def test_silence_and_what_is_unknown_have_no_voice() -> None:
    assert not voiced_of(np.array([SILENCE, UNKNOWN], np.int16)).any()
