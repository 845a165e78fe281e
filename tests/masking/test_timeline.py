from hypothesis import given
from hypothesis import strategies as st

from masking.timeline import Timeline

MEANS = st.sampled_from(["detected", "interpolated", "tracked", "held", "extended"])


@given(st.lists(st.dictionaries(st.integers(0, 3), MEANS, max_size=4), min_size=1, max_size=30))
def test_the_spans_of_a_track_tell_of_each_of_its_frames_exactly_once(frames: list[dict[int, str]]) -> None:
    timeline = Timeline()
    for index, faces in enumerate(frames):
        timeline.add(index, index / 25, list(faces), [0.5] * len(faces), list(faces.values()))
    assert timeline.frames == len(frames)
    told = {
        (index, track.track): span.how
        for track in timeline.tracks
        for span in track.spans
        for index in range(span.first, span.last + 1)
    }
    given = {
        (index, track): "seen" if how in ("detected", "interpolated") else how
        for index, faces in enumerate(frames)
        for track, how in faces.items()
    }
    assert told == given


def test_a_steady_face_takes_one_span_however_long_it_is_there() -> None:
    timeline = Timeline()
    for index in range(1000):
        timeline.add(index, index / 25, [7], [index / 1000], ["detected" if index % 3 == 0 else "interpolated"])
    (track,) = timeline.tracks
    assert (track.track, track.first, track.last, track.score, len(track.spans)) == (7, 0, 999, 0.999, 1)


def test_frames_in_doubt_are_joined_where_they_have_one_reason() -> None:
    timeline = Timeline()
    for index, reason in ((3, "lost"), (4, "lost"), (5, "dark"), (9, "dark")):
        timeline.doubt(index, reason)
    assert [(span.first, span.last, span.how) for span in timeline.doubts] == [
        (3, 4, "lost"),
        (5, 5, "dark"),
        (9, 9, "dark"),
    ]
