import hashlib
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from masking.errors import DamagedMedia, UnsupportedMedia
from masking.evaluation.likeness import OPEN, likeness
from masking.face.detectors.centerface import CenterFace
from masking.face.maskers import MASKERS
from masking.media.probe import ImageLimits
from masking.media.video import VideoLimits
from masking.pipeline import mask_image
from masking.policy import Policy, VideoPolicy
from masking.report import MaskReport
from masking.selection import Listed, Selection
from masking.types import Faces
from masking.verify import Findings, Judge, read_report, verify
from masking.verify_video import Glass, look_at_video
from masking.video import mask_video

IMAGES = ImageLimits(10_000_000, 10_000_000, 8000)
VIDEOS = VideoLimits(10_000_000, 10_000_000, 8000, 60.0)
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def judge(detector: CenterFace) -> Judge:
    return Judge(detector, IMAGES, VIDEOS)


@pytest.fixture(scope="module")
def small(photo_pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(cv2.resize(photo_pixels, (160, 188), interpolation=cv2.INTER_AREA))


@pytest.fixture(scope="module")
def photo(small: Pixels) -> bytes:
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1])


def codes(found: Findings) -> list[str]:
    return [finding.code for finding in found.findings]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def checked(tmp_path: Path, photo: bytes, judge: Judge) -> Callable[..., Findings]:
    """Verify bytes as the output of the photo, with a report that names their digest."""

    def check(output: bytes, report: MaskReport, **changes: object) -> Findings:
        (tmp_path / "in").write_bytes(photo)
        (tmp_path / "out").write_bytes(output)
        report = replace(report, output_sha256=digest(output))
        return verify(tmp_path / "in", tmp_path / "out", report, replace(judge, **changes))  # type: ignore[arg-type]

    return check


@pytest.mark.parametrize("style", MASKERS)
def test_what_was_masked_does_not_show(
    style: str, photo: bytes, detector: CenterFace, checked: Callable[..., Findings]
) -> None:
    masked = mask_image(photo, Policy(style, key=b"k" * 32), detector, IMAGES)
    found = checked(masked.data, masked.report)
    assert (codes(found), found.faces) == ([], 1)
    if style == "surrogate":
        assert found.over_masks == 1


def test_a_face_that_is_open_is_found_with_its_place(
    photo: bytes, detector: CenterFace, checked: Callable[..., Findings]
) -> None:
    kept = Selection((Listed("keep", 0, 0, 160, 188),))
    opened = mask_image(photo, Policy(selection=kept), detector, IMAGES)
    (finding,) = checked(opened.data, opened.report).findings
    assert finding.code == "open_face"
    assert finding.box is not None
    assert 40 < finding.box[0] < 70
    told = read_report(json.dumps(opened.report.as_dict()).encode())
    assert "faces_kept" in told.notes
    assert codes(checked(opened.data, told, selection=kept)) == []


def test_a_mask_beside_the_face_is_no_mask(
    photo: bytes, detector: CenterFace, checked: Callable[..., Findings]
) -> None:
    beside = Selection((Listed("keep", 0, 0, 160, 188), Listed("mask", 0, 150, 30, 186)))
    masked = mask_image(photo, Policy(selection=beside), detector, IMAGES)
    assert "open_face" in codes(checked(masked.data, masked.report))


def test_each_of_the_two_files_must_be_that_of_the_report(
    photo: bytes, detector: CenterFace, judge: Judge, tmp_path: Path
) -> None:
    masked = mask_image(photo, Policy(), detector, IMAGES)
    (tmp_path / "in").write_bytes(photo)
    (tmp_path / "out").write_bytes(masked.data)
    for name, code in (("input_sha256", "input_hash"), ("output_sha256", "output_hash")):
        report = replace(masked.report, **{name: digest(b"other")})  # type: ignore[arg-type]
        assert codes(verify(tmp_path / "in", tmp_path / "out", report, judge)) == [code]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: data[:2] + b"\xff\xfe\x00\x09a note" + b"!" + data[2:], "metadata"),
        (lambda data: data + b"behind the end", "metadata"),
        (lambda data: bytes(cv2.imencode(".jpg", np.zeros((20, 20, 3), np.uint8))[1]), "shape"),
        (lambda data: bytes(cv2.imencode(".png", np.zeros((188, 160, 3), np.uint8))[1]), "shape"),
    ],
    ids=["comment", "trailer", "size", "kind"],
)
def test_what_came_along_or_changed_is_found(
    change: Callable[[bytes], bytes],
    code: str,
    photo: bytes,
    detector: CenterFace,
    checked: Callable[..., Findings],
) -> None:
    masked = mask_image(photo, Policy(), detector, IMAGES)
    assert codes(checked(change(masked.data), masked.report)) == [code]


def test_likeness_is_one_for_the_same_and_nothing_for_another(photo_pixels: Pixels) -> None:
    box = np.array([172, 131, 352, 337], np.float32)
    noise = np.random.default_rng(3).integers(0, 255, photo_pixels.shape, np.uint8)
    mirrored = np.ascontiguousarray(photo_pixels[:, ::-1])
    assert likeness(photo_pixels, photo_pixels, box) == pytest.approx(1)
    for other in (np.zeros_like(photo_pixels), noise, mirrored, cv2.GaussianBlur(photo_pixels, (0, 0), 21)):
        assert likeness(photo_pixels, np.asarray(other, np.uint8), box) < OPEN / 2


def test_a_black_mask_over_a_dark_corner_is_a_mask() -> None:
    dark = np.full((60, 60, 3), 2, np.uint8)
    dark[::9] = 3
    box = np.array([5, 5, 55, 55], np.float32)
    assert likeness(dark, dark, box) == 1
    assert likeness(dark, np.zeros_like(dark), box) == 0


@pytest.mark.parametrize("quality", [95, 75, 50])
def test_recoding_hides_nobody(quality: int, photo_pixels: Pixels) -> None:
    recoded = cv2.imdecode(cv2.imencode(".jpg", photo_pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
    assert likeness(photo_pixels, np.asarray(recoded, np.uint8), np.array([172, 131, 352, 337], np.float32)) > OPEN


@pytest.mark.parametrize("box", [(-50, -50, -10, -10), (150, 180, 400, 400), (-20, -20, 30, 30), (10, 10, 10.4, 10.4)])
def test_a_box_at_or_beyond_the_edge_has_a_likeness_too(box: tuple[float, ...], small: Pixels) -> None:
    assert 0 <= likeness(small, small, np.array(box, np.float32)) <= 1


def write_clip(path: Path, frames: list[Pixels], tags: dict[str, str] | None = None) -> None:
    with av.open(str(path), "w") as container:
        container.metadata.update(tags or {})
        stream = container.add_stream("libx264", rate=Fraction(25), options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def clip(small: Pixels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    wide = np.pad(small, ((0, 0), (40, 40), (0, 0)), mode="edge")
    write_clip(path, [np.roll(wide, step, axis=1) for step in range(12)], {"title": "whose it is"})
    return path


@pytest.fixture(scope="module")
def masked_clip(clip: Path, detector: CenterFace) -> tuple[Path, MaskReport]:
    path = clip.with_name("masked.mp4")
    return path, mask_video(clip, path, VideoPolicy(), detector, VIDEOS)


def test_a_masked_video_shows_nobody(clip: Path, masked_clip: tuple[Path, MaskReport], judge: Judge) -> None:
    found = verify(clip, *masked_clip, judge)
    assert (codes(found), found.frames) == ([], 12)
    assert 0 < found.looked_at < 12
    assert verify(clip, *masked_clip, replace(judge, every=1)).looked_at == 12


def test_one_open_frame_is_found_when_all_are_looked_at(
    clip: Path, masked_clip: tuple[Path, MaskReport], judge: Judge, tmp_path: Path
) -> None:
    path, report = masked_clip
    with av.open(str(clip)) as one, av.open(str(path)) as other:
        before = [frame.to_ndarray(format="rgb24") for frame in one.decode(video=0)]
        after = [frame.to_ndarray(format="rgb24") for frame in other.decode(video=0)]
    write_clip(tmp_path / "leaky.mp4", [*after[:5], before[5], *after[6:]])
    found = verify(clip, tmp_path / "leaky.mp4", report, replace(judge, every=1))
    assert [(each.code, each.frame) for each in found.findings] == [("output_hash", None), ("open_face", 5)]


@pytest.fixture(scope="module")
def longer(small: Pixels, detector: CenterFace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MaskReport]:
    """A folder with a clip of 30 frames, and the report of masking it."""
    folder = tmp_path_factory.mktemp("longer")
    wide = np.pad(small, ((0, 0), (40, 40), (0, 0)), mode="edge")
    write_clip(folder / "in.mp4", [np.roll(wide, step // 2, axis=1) for step in range(30)])
    return folder, mask_video(folder / "in.mp4", folder / "out.mp4", VideoPolicy(), detector, VIDEOS)


@pytest.mark.parametrize(
    ("first", "length", "threshold"), [(0, 1, 0.2), (5, 1, 0.2), (5, 1, 0.6), (6, 3, 0.2), (12, 10, 0.2)]
)
def test_a_face_that_opens_for_a_while_is_found_though_few_frames_are_looked_at(
    first: int, length: int, threshold: float, longer: tuple[Path, MaskReport], judge: Judge, tmp_path: Path
) -> None:
    folder, report = longer
    with av.open(str(folder / "in.mp4")) as one, av.open(str(folder / "out.mp4")) as other:
        before, after = ([frame.to_ndarray(format="rgb24") for frame in each.decode(video=0)] for each in (one, other))
    leaky = [*after[:first], *before[first : first + length], *after[first + length :]]
    write_clip(tmp_path / "leaky.mp4", leaky)
    found = verify(folder / "in.mp4", tmp_path / "leaky.mp4", report, replace(judge, threshold=threshold))
    (face,) = [each for each in found.findings if each.code == "open_face"]
    assert face.frame in range(first, first + length)
    assert found.looked_at < 25


@pytest.mark.parametrize(
    ("score", "times", "findings", "unconfirmed", "looked_at"),
    [(0.3, 1, 0, 1, 3), (0.3, 4, 0, 1, 6), (0.3, 12, 1, 0, 8), (0.55, 1, 1, 0, 1)],
)
def test_what_is_taken_for_a_face_weakly_has_to_be_seen_often(
    score: float,
    times: int,
    findings: int,
    unconfirmed: int,
    looked_at: int,
    clip: Path,
    masked_clip: tuple[Path, MaskReport],
) -> None:
    box = np.array([[200, 140, 235, 185]], np.float32)
    corner = Faces(box, np.array([score], np.float32), np.zeros((1, 5, 2), np.float32))
    shown = itertools.count()

    def sees_a_corner(pixels: Pixels, threshold: float) -> Faces:
        return corner if next(shown) < 2 * times else Faces.none()

    path, report = masked_clip
    glass = Glass(sees_a_corner, 0.2, Selection(), 100)
    seen = look_at_video(clip, path, replace(report, tracks=()), VIDEOS, glass)
    assert (len(seen.findings), len(seen.unconfirmed), seen.looked_at) == (findings, unconfirmed, looked_at)


@pytest.mark.parametrize(
    ("tags", "frames", "width", "code"),
    [({"title": "whose it is"}, 12, 240, "metadata"), ({}, 11, 240, "frames"), ({}, 12, 200, "shape")],
)
def test_what_else_is_wrong_with_a_video_is_found(
    tags: dict[str, str],
    frames: int,
    width: int,
    code: str,
    clip: Path,
    masked_clip: tuple[Path, MaskReport],
    judge: Judge,
    tmp_path: Path,
) -> None:
    write_clip(tmp_path / "out.mp4", [np.zeros((188, width, 3), np.uint8)] * frames, tags)
    assert codes(verify(clip, tmp_path / "out.mp4", masked_clip[1], judge)) == ["output_hash", code]


def test_a_photo_is_not_the_output_of_a_video(clip: Path, photo: bytes, judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo)
    report = mask_image(photo, Policy(), judge.detector, IMAGES).report
    with pytest.raises(UnsupportedMedia, match="the other is a video"):
        verify(clip, tmp_path / "a.jpg", report, judge)


def test_a_report_comes_back_as_it_was(masked_clip: tuple[Path, MaskReport]) -> None:
    report = masked_clip[1]
    assert read_report(json.dumps(report.as_dict()).encode()) == report


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{}", '{"schema": 1}', '{"schema": 99}', '{"schema": 2, "tracks": 3}', "[" * 100_000, "\xff"],
)
def test_what_is_no_report_is_told(text: str) -> None:
    with pytest.raises(DamagedMedia, match="report"):
        read_report(text.encode("latin-1"))


def test_a_report_of_nonsense_is_told(masked_clip: tuple[Path, MaskReport]) -> None:
    values = masked_clip[1].as_dict()
    for name, value in (("width", "wide"), ("threshold", 7), ("frames", -1), ("doubts", [{}]), ("tracks", None)):
        with pytest.raises(DamagedMedia, match="report"):
            read_report(json.dumps(values | {name: value}).encode())
