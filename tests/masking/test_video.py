from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from masking.errors import DamagedMedia, DeadlineExceeded, ModelError, PolicyError, UnsupportedMedia, Withheld
from masking.face.detectors import Detector
from masking.face.maskers import AVERAGES, maskers_with
from masking.face.procedural.clip import Moment, clip
from masking.face.procedural.identity import Identity
from masking.media.file_digest import sha256_of
from masking.media.video import VideoLimits
from masking.policy import VideoPolicy
from masking.selection import Listed, Selection
from masking.types import Faces
from masking.video import detect_video, mask_video, waiting

LIMITS = VideoLimits(bytes=100_000_000, pixels=10_000_000, side=8000, seconds=600)
SIZE = (480, 270)
FRAMES = 16
KEY = b"of the test, and of nobody else."


def film(moments: list[np.ndarray], path: Path) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", 25, options={"crf": "12", "preset": "ultrafast"})
        stream.width, stream.height = moments[0].shape[1], moments[0].shape[0]
        stream.pix_fmt = "yuv420p"
        for index, pixels in enumerate(moments):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def shown(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


@pytest.fixture(scope="module")
def moments() -> list[Moment]:
    rng = np.random.default_rng(5)
    people = [Identity.draw(rng) for _ in range(3)]
    return list(clip(rng, people, size=SIZE, shots=2, frames=FRAMES))


@pytest.fixture(scope="module")
def source(moments: list[Moment], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film([moment.pixels for moment in moments], tmp_path_factory.mktemp("clips") / "in.mp4")


def test_averages_cover_a_video_where_there_are_any(
    source: Path, moments: list[Moment], detector: Detector, averages: Path, tmp_path: Path
) -> None:
    target, policy = tmp_path / "out.mp4", VideoPolicy(AVERAGES, key=KEY)
    with pytest.raises(PolicyError, match="data/photos"):
        mask_video(source, target, policy, detector, LIMITS)
    assert not target.exists()
    assert mask_video(source, target, policy, detector, LIMITS, maskers=maskers_with(averages)).style == AVERAGES
    for moment, now in zip(moments, shown(target), strict=True):
        for x1, y1, x2, y2 in moment.boxes.clip(0).astype(int):
            red, green, blue = now[y1:y2, x1:x2].reshape(-1, 3).astype(int).T
            assert (green > np.maximum(red, blue) + 40).mean() > 0.3


# A surrogate's skin is like skin: less of a face changes by much.
@pytest.mark.parametrize(("style", "share"), [("solid", 0.75), ("surrogate", 0.4)])
def test_no_frame_shows_a_face_and_the_rest_is_there(
    style: str, share: float, source: Path, moments: list[Moment], detector: Detector, tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    report = mask_video(source, target, VideoPolicy(style, key=KEY), detector, LIMITS)
    before, after = shown(source), shown(target)
    assert len(before) == len(after) == report.frames == 2 * FRAMES
    assert report.faces >= 2
    assert (report.input_sha256, report.output_sha256) == (sha256_of(source), sha256_of(target))
    for moment, was, now in zip(moments, before, after, strict=True):
        rest = np.ones(now.shape[:2], bool)
        for x1, y1, x2, y2 in moment.boxes.clip(0).astype(int):
            changed = np.abs(was[y1:y2, x1:x2].astype(int) - now[y1:y2, x1:x2]).max(axis=2) > 16
            assert changed.mean() > share
            rest[max(0, y1 - (y2 - y1)) : 2 * y2 - y1, max(0, x1 - (x2 - x1)) : 2 * x2 - x1] = False
        assert np.median(np.abs(was[rest].astype(int) - now[rest])) < 4


class _Failing:
    """A detector that answers some times, and then no more."""

    def __init__(self, detector: Detector, calls: int, error: Exception | None) -> None:
        self.detector, self.calls, self.error = detector, calls, error

    def __call__(self, pixels: np.ndarray, threshold: float) -> Faces:
        self.calls -= 1
        if self.calls >= 0:
            return self.detector(pixels, threshold)
        if self.error is not None:
            raise self.error
        return Faces.none()


def test_a_detector_that_fails_on_the_way_leaves_no_file(source: Path, detector: Detector, tmp_path: Path) -> None:
    failing = _Failing(detector, 3, ModelError("no answer"))
    with pytest.raises(ModelError):
        mask_video(source, tmp_path / "out.mp4", VideoPolicy(), failing, LIMITS)
    assert list(tmp_path.iterdir()) == []


def test_an_observer_is_told_of_each_frame_and_can_end_the_work(
    source: Path, detector: Detector, tmp_path: Path
) -> None:
    class Impatient:
        def __init__(self) -> None:
            self.told: list[int] = []

        def progress(self, done: int, total: int | None) -> None:
            assert total == 2 * FRAMES
            self.told.append(done)
            if done == 10:
                raise DeadlineExceeded("enough")

    observer = Impatient()
    with pytest.raises(DeadlineExceeded):
        mask_video(source, tmp_path / "out.mp4", VideoPolicy(), detector, LIMITS, observer)
    assert observer.told == list(range(1, 11))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_there_stays_until_the_new_one_is_whole(
    source: Path, detector: Detector, tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"of before")
    with pytest.raises(ModelError):
        mask_video(source, target, VideoPolicy(), _Failing(detector, 3, ModelError("no answer")), LIMITS)
    assert target.read_bytes() == b"of before"
    mask_video(source, target, VideoPolicy(), detector, LIMITS)
    assert len(shown(target)) == 2 * FRAMES


def test_a_face_that_is_lost_without_reason_puts_frames_in_doubt(
    photo_pixels: np.ndarray, detector: Detector, tmp_path: Path
) -> None:
    # The face stays where it is, and from the fifth look on the detector is blind.
    pixels = np.ascontiguousarray(photo_pixels[: photo_pixels.shape[0] // 2 * 2, : photo_pixels.shape[1] // 2 * 2])
    source = film([np.roll(pixels, index % 2, axis=1) for index in range(100)], tmp_path / "in.mp4")
    target = tmp_path / "out.mp4"
    report = mask_video(source, target, VideoPolicy(), _Failing(detector, 8, None), LIMITS)
    assert report.needs_review
    assert report.doubts
    after = shown(target)
    for span in report.doubts:
        assert all(after[index].max() < 8 for index in range(span.first, span.last + 1))
    target.unlink()
    with pytest.raises(Withheld):
        mask_video(source, target, VideoPolicy(doubt="withhold"), _Failing(detector, 8, None), LIMITS)
    assert not target.exists()


def test_a_person_says_who_stays_visible_and_what_is_masked_in_which_frames(
    source: Path, detector: Detector, tmp_path: Path
) -> None:
    everything = Listed("keep", -50, -50, SIZE[0] + 50, SIZE[1] + 50)
    corner = Listed("mask", 0, 0, 40, 40, first=5, last=9)
    target = tmp_path / "out.mp4"
    report = mask_video(source, target, VideoPolicy(selection=Selection((everything, corner))), detector, LIMITS)
    assert [(track.first, track.last) for track in report.tracks] == [(5, 9)]
    assert "faces_kept" in report.notes
    for index, (was, now) in enumerate(zip(shown(source), shown(target), strict=True)):
        masked = now[5:30, 5:30].max() < 30
        assert masked == (5 <= index <= 9)
        assert np.abs(was[100:].astype(int) - now[100:]).mean() < 4


def test_a_report_tells_faces_of_a_video_that_a_person_leaves_open_from_none_found(tmp_path: Path) -> None:
    grey = film([np.full((180, 240, 3), 120, np.uint8)] * 6, tmp_path / "in.mp4")
    face = Faces(np.array([[80, 60, 130, 120]], np.float32), np.ones(1, np.float32), np.zeros((1, 5, 2), np.float32))
    everywhere, elsewhere = Listed("keep", 0, 0, 240, 180), Listed("keep", 0, 0, 50, 50)
    corner = Listed("mask", 0, 0, 40, 40)

    def told(found: Faces, *rows: Listed, only: bool = False) -> set[str]:
        policy = VideoPolicy(selection=Selection(rows, only))
        report = mask_video(grey, tmp_path / "out.mp4", policy, lambda pixels, threshold: found, LIMITS)
        return set(report.notes) & {"faces_kept", "only_listed"}

    assert told(face, everywhere) == {"faces_kept"}
    assert told(face, elsewhere) == told(Faces.none(), everywhere) == told(face) == set()
    assert told(face, corner, only=True) == {"only_listed"}


def test_what_is_covered_can_be_had_as_a_list(source: Path, detector: Detector, tmp_path: Path) -> None:
    report = mask_video(source, tmp_path / "out.mp4", VideoPolicy(), detector, LIMITS)
    told = list(detect_video(source, VideoPolicy(), detector, LIMITS))
    assert [index for index, _, _ in told] == list(range(2 * FRAMES))
    assert {track for _, _, tracks in told for track in tracks} == {track.track for track in report.tracks}


@pytest.mark.parametrize(
    ("data", "error"), [(b"just a text, named like a video", UnsupportedMedia), (b"\0\0\0\x18ftypisom", DamagedMedia)]
)
def test_what_is_no_video_is_refused(data: bytes, error: type[Exception], detector: Detector, tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes(data)
    with pytest.raises(error):
        mask_video(source, tmp_path / "out.mp4", VideoPolicy(), detector, LIMITS)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_video_that_breaks_off_is_masked_as_far_as_it_goes(source: Path, detector: Detector, tmp_path: Path) -> None:
    whole = film(shown(source), tmp_path / "whole.mkv")
    data = whole.read_bytes()
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(data[: len(data) * 2 // 3])
    report = mask_video(broken, tmp_path / "out.mkv", VideoPolicy(), detector, LIMITS)
    assert report.needs_review
    assert report.damage
    assert 0 < report.frames < 2 * FRAMES
    assert len(shown(tmp_path / "out.mkv")) == report.frames


@pytest.mark.parametrize(("tone", "differ"), [("drop", False), ("keep", True)])
def test_a_face_keeps_its_surrogate_when_its_light_changes(tone: str, differ: bool, tmp_path: Path) -> None:
    where = np.array([[80, 60, 130, 120]], np.float32)
    found = Faces(where, np.ones(1, np.float32), np.zeros((1, 5, 2), np.float32))
    first = []
    for levels in ((200, 40), (40, 200)):
        moments = [np.full((180, 240, 3), 120, np.uint8) for _ in range(12)]
        for index, pixels in enumerate(moments):
            pixels[60:120, 80:130] = levels[index // 6]
        source = film(moments, tmp_path / "in.mp4")
        policy = VideoPolicy("surrogate", key=KEY, tone=tone)
        mask_video(source, tmp_path / "out.mp4", policy, lambda pixels, threshold: found, LIMITS)
        faces = [frame[70:110, 90:120].astype(int) for frame in shown(tmp_path / "out.mp4")]
        assert np.abs(faces[0] - faces[-1]).mean() < 5
        first.append(faces[0])
    assert (np.abs(first[0] - first[1]).mean() > 5) == differ


def test_surrogates_that_overlap_each_keep_their_middle(tmp_path: Path) -> None:
    rows = np.array([[60, 50, 100, 102], [104, 54, 150, 112]], np.float32)
    source = film([np.full((180, 240, 3), 120, np.uint8)] * 6, tmp_path / "in.mp4")

    def masked(*which: int) -> np.ndarray:
        listed = tuple(Listed("mask", *map(float, rows[index])) for index in which)
        policy = VideoPolicy("surrogate", key=KEY, selection=Selection(listed))
        mask_video(source, tmp_path / "out.mp4", policy, lambda pixels, threshold: Faces.none(), LIMITS)
        return shown(tmp_path / "out.mp4")[3].astype(int)

    both, alone = masked(0, 1), masked(0)
    assert np.abs(both - alone)[60:92, 78:97].mean() < 4


@pytest.mark.parametrize(("size", "frames"), [((640, 360), 24), ((1920, 1080), 20), ((3840, 2160), 8), ((16, 16), 24)])
def test_the_larger_the_frames_the_fewer_may_wait(size: tuple[int, int], frames: int) -> None:
    assert waiting(size[0] * size[1]) == frames
