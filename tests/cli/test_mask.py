import csv
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from typer.testing import Result

from cli.styles import lines as lines_of
from masking.face.maskers import STYLES
from masking.styles import FACE_LABELS, VOICE_LABELS
from masking.voice.maskers import STYLES as TIERS
from mlops.registry.bundle import Bundle, install, open_bundle

Run = Callable[..., Result]


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def pixels(path: Path) -> np.ndarray:
    return cv2.imread(str(path)).astype(int)


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.startswith(".")]


def test_a_photo_is_masked_where_the_face_is(masker: Run, photo: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo)
    result = masker("mask", "a.jpg", "-o", "deep/down/b.jpg")
    assert (result.exit_code, result.stdout) == (0, "")
    changed = np.abs(pixels(tmp_path / "a.jpg") - pixels(tmp_path / "deep/down/b.jpg"))
    assert changed[55:95, 65:100].mean() > 10
    assert changed[-8:].mean() < 2
    assert "1 face masked" in result.stderr
    assert leftovers(tmp_path) == []


def test_one_broken_file_stops_no_other(masker: Run, photo: bytes, tmp_path: Path) -> None:
    (tmp_path / "in/sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/z.jpg"):
        (tmp_path / "in" / name).write_bytes(photo)
    (tmp_path / "in/b.jpg").write_bytes(photo[: len(photo) // 2])
    (tmp_path / "in/c.gif").write_bytes(b"GIF89a")
    (tmp_path / "in/notes.txt").write_text("words")
    result = masker("mask", "in", "-o", "out", "--json")
    told = {str(line["file"]): line for line in lines(result)}
    assert result.exit_code == 1
    assert {name: line["state"] for name, line in told.items()} == {
        "in/a.jpg": "masked", "in/b.jpg": "failed", "in/c.gif": "failed", "in/sub/z.jpg": "masked",
    }  # fmt: skip
    assert told["in/sub/z.jpg"]["output"] == "out/sub/z.jpg"
    assert str(told["in/b.jpg"]["error"]).startswith("DamagedMedia")
    assert str(told["in/c.gif"]["error"]).startswith("UnsupportedMedia")
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")) == [
        "a.jpg",
        "sub/z.jpg",
    ]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.gif", b"GIF89a", "GIF is not masked here"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC is not masked here"),
        ("a.mp4", b"RIFF\0\0\0\0AVI LIST", "AVI is not masked here"),
        ("a.mp4", (b"G" + bytes(187)) * 3, "MPEG transport stream is not masked here"),
        ("a.jpg", b"II*\0" + bytes(60), "TIFF or raw photo is not masked here"),
        ("a.jpg", b"hello", "this is no photo, video or sound of a kind that is masked here"),
    ],
)
def test_what_is_not_masked_here_is_named_beside_what_is(
    masker: Run, tmp_path: Path, name: str, head: bytes, kind: str
) -> None:
    (tmp_path / name).write_bytes(head)
    result = masker("mask", name, "-o", "out", "--json")
    (told,) = lines(result)
    assert (result.exit_code, told["state"]) == (1, "failed")
    assert f"UnsupportedMedia: {kind}: photos are JPEG, PNG or WebP, videos MP4," in str(told["error"])


def test_a_dry_run_writes_the_boxes_alone_and_a_person_can_give_them_back(
    masker: Run, photo: bytes, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes(photo)
    (tmp_path / "in/b.jpg").write_bytes(photo)
    assert masker("mask", "in", "--dry-run", "--boxes", "boxes.csv").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["boxes.csv", "in"]
    with (tmp_path / "boxes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["action"]) for row in rows] == [("a.jpg", "mask"), ("b.jpg", "mask")]
    rows[1]["action"] = "keep"
    with (tmp_path / "boxes.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    result = masker("mask", "in", "-o", "out", "--regions", "boxes.csv", "--json")
    assert {line["file"]: line["faces"] for line in lines(result)} == {"in/a.jpg": 1, "in/b.jpg": 0}


def test_regions_can_be_drawn_on_the_command_line(masker: Run, photo: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo)
    result = masker("mask", "a.jpg", "-o", "b.jpg", "--keep", "0,0,160,188", "--mask", "2,150,30,180", "--json")
    assert lines(result)[0]["faces"] == 1
    changed = np.abs(pixels(tmp_path / "a.jpg") - pixels(tmp_path / "b.jpg"))
    assert changed[155:175, 5:25].mean() > 10
    assert changed[55:95, 65:100].mean() < 2


def test_reports_lie_beside_the_results_or_go_to_standard_output(masker: Run, photo: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo)
    (tmp_path / "b.jpg").write_bytes(photo)
    assert masker("mask", "a.jpg", "b.jpg", "-o", "out", "--report", "out").exit_code == 0
    report = json.loads((tmp_path / "out/a.jpg.json").read_text())
    assert (report["faces"], report["model"], report["model_version"]) == (1, "face-detector", "1")
    assert masker("mask", "a.jpg", "-o", "c.jpg", "--report", "c.json").exit_code == 0
    assert json.loads((tmp_path / "c.json").read_text())["kind"] == "image/jpeg"
    result = masker("mask", "a.jpg", "-o", "d.jpg", "--report", "-")
    assert lines(result)[0]["report"]["faces"] == 1  # type: ignore[index]


def test_the_result_is_a_new_file_like_any_other_and_may_be_replaced_by_force_only(
    masker: Run, photo: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(photo)
    os.utime(tmp_path / "a.jpg", (1, 1))
    assert masker("mask", "a.jpg", "-o", "b.jpg").exit_code == 0
    fresh = tmp_path / "fresh"
    fresh.touch()
    status = (tmp_path / "b.jpg").stat()
    assert stat.S_IMODE(status.st_mode) == stat.S_IMODE(fresh.stat().st_mode)
    assert status.st_mtime > 1000
    again = masker("mask", "a.jpg", "-o", "b.jpg")
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)
    assert masker("mask", "a.jpg", "-o", "b.jpg", "--force", "--style", "blur").exit_code == 0
    assert lines(masker("mask", "a.jpg", "-o", "b.jpg", "--skip-existing", "--json"))[0]["state"] == "skipped"


def test_a_picture_can_come_from_and_go_to_the_standard_streams(masker: Run, photo: bytes) -> None:
    result = masker("mask", "-", "-o", "-", stdin=photo)
    assert result.exit_code == 0
    masked = cv2.imdecode(np.frombuffer(result.stdout_bytes, np.uint8), cv2.IMREAD_COLOR)
    before = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(masked[55:95, 65:100].astype(int) - before[55:95, 65:100]).mean() > 10
    assert masker("mask", "-", "-o", "-", stdin=b"no picture").exit_code == 1
    video = masker("mask", "-", "-o", "-", stdin=b"\0\0\0\x20ftypisom" + bytes(20))
    assert (video.exit_code, video.stdout_bytes) == (1, b"")
    assert "a video is masked from a file, not from standard input" in video.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "--out"),
        (["-o", "b.jpg", "--style", "sepia"], "unknown style"),
        (["-o", "b.jpg", "--threshold", "1.5"], "between"),
        (["-o", "b.jpg", "--search", "hard"], "unknown search"),
        (["-o", "b.jpg", "--doubt", "shrug"], "unknown doubt"),
        (["-o", "b.jpg", "--untouched", "keep"], "unknown untouched"),
        (["-o", "b.jpg", "--voice", "loud"], "unknown voice"),
        (["-o", "b.jpg", "--keep-tone"], "style surrogate alone"),
        (["-o", "b.jpg", "--keep", "1,2,3"], "x1,y1,x2,y2"),
        (["-o", "b.jpg", "--mask", "5,5,1,1"], "exceed"),
        (["-o", "b.jpg", "--key-file", "short.key"], "fewer than 32"),
        (["-o", "b.jpg", "--regions", "none.csv"], "none.csv"),
        (["-o", "b.jpg", "--boxes", "boxes.txt"], "a .csv or a .json"),
        (["-o", "-", "--json"], "both write to standard output"),
        (["-o", "b.jpg", "--force", "--skip-existing"], "exclude"),
    ],
)
def test_wrong_usage_exits_2_before_any_work(
    options: list[str], told: str, masker: Run, photo: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(photo)
    (tmp_path / "short.key").write_text("secret")
    result = masker("mask", "a.jpg", *options)
    assert (result.exit_code, told in " ".join(result.stderr.split())) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "short.key"]


def test_the_same_key_draws_the_same_surrogates(masker: Run, photo: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo)
    (tmp_path / "one.key").write_text("1" * 64)
    (tmp_path / "two.key").write_text("2" * 64)
    for name, key in (("b", "one"), ("c", "one"), ("d", "two")):
        options = ("--style", "surrogate", "--key-file", f"{key}.key")
        assert masker("mask", "a.jpg", "-o", f"{name}.jpg", *options).exit_code == 0
    b, c, d = ((tmp_path / f"{name}.jpg").read_bytes() for name in "bcd")
    assert b == c
    assert b != d


def test_a_skin_tone_is_kept_on_request(masker: Run, photo: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo)
    (tmp_path / "one.key").write_text("1" * 64)
    options = ("--style", "surrogate", "--key-file", "one.key")
    digests = []
    for name, more in (("b", ()), ("c", ("--keep-tone",))):
        assert masker("mask", "a.jpg", "-o", f"{name}.jpg", *options, *more, "--report", f"{name}.json").exit_code == 0
        digests.append(json.loads((tmp_path / f"{name}.json").read_text())["policy"])
    assert digests[0] != digests[1]


def test_averages_of_people_are_a_style_where_the_model_has_them(
    masker: Run, photo: bytes, clip: Path, trained_with_averages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(photo)
    without = masker("mask", "a.jpg", "-o", "b.jpg", "--style", "averages")
    assert (without.exit_code, "train it with 20 people" in " ".join(without.stderr.split())) == (2, True)
    assert not (tmp_path / "b.jpg").exists()
    digest = open_bundle(trained_with_averages, "2").digest
    install(trained_with_averages, tmp_path / "bundles", "face-detector", "2", digest)
    monkeypatch.setenv("MASKER_REGISTRY__BUNDLES_PATH", str(tmp_path / "bundles"))
    assert masker("mask", "a.jpg", "-o", "b.jpg", "--style", "averages").exit_code == 0
    assert masker("mask", clip, "-o", "b.mp4", "--style", "averages").exit_code == 0
    live = masker("cam", "--source", clip, "--output", "b.mjpeg", "--frames", "1", "--style", "averages")
    assert live.exit_code == 0
    for path in ("b.jpg", "b.mp4", "b.mjpeg"):
        there, shown = cv2.VideoCapture(str(tmp_path / path)).read()
        assert there
        blue, green, red = shown[60:90, 72 + (40 if path != "b.jpg" else 0) :][:, :20].reshape(-1, 3).mean(axis=0)
        assert green > max(red, blue) + 40, path


def test_a_video_is_masked_and_its_boxes_hold_the_face(masker: Run, clip: Path, tmp_path: Path) -> None:
    result = masker("mask", clip, "-o", "out.mp4", "--boxes", "boxes.csv", "--report", "out.json", "--json")
    assert result.exit_code == 0
    (line,) = lines(result)
    assert (line["state"], line["kind"], line["faces"]) == ("masked", "video/mp4", 1)
    report = json.loads((tmp_path / "out.json").read_text())
    assert (report["frames"], len(report["tracks"])) == (12, 1)
    with (tmp_path / "boxes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["first"], rows[-1]["last"]) == ("0", "11")
    assert stat.S_IMODE((tmp_path / "out.mp4").stat().st_mode) & 0o077 == 0o666 & ~_umask() & 0o077


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def test_what_nobody_is_in_is_copied_on_request(masker: Run, tmp_path: Path) -> None:
    rows, columns = np.mgrid[:96, :160].astype(np.uint8)
    with av.open(str(tmp_path / "in.mp4"), "w") as file:
        stream = file.add_stream("libx264", 25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for step in range(8):
            pixels = np.stack([rows + 60, columns // 2, rows + step], axis=2)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        file.mux(stream.encode())
    for wish, copied in (("code", 0), ("copy", 8)):
        options = ("--untouched", wish, "--force", "--report", f"{wish}.json")
        assert masker("mask", "in.mp4", "-o", "out.mp4", *options).exit_code == 0
        assert json.loads((tmp_path / f"{wish}.json").read_text())["copied"] == copied


def test_a_video_cannot_go_to_standard_output(masker: Run, clip: Path) -> None:
    result = masker("mask", clip, "-o", "-")
    assert (result.exit_code, result.stdout_bytes) == (1, b"")
    assert "not to standard output" in result.stderr


def test_without_a_model_the_way_to_one_is_told(
    masker: Run, photo: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASKER_REGISTRY__BUNDLES_PATH", str(tmp_path / "none"))
    (tmp_path / "a.jpg").write_bytes(photo)
    result = masker("mask", "a.jpg", "-o", "b.jpg")
    assert (result.exit_code, "make repro" in result.stderr) == (1, True)
    assert not (tmp_path / "b.jpg").exists()


def test_what_steers_a_terminal_does_not_reach_it(masker: Run, photo: bytes, tmp_path: Path) -> None:
    name = "a\x1b[31m\nb.jpg"
    (tmp_path / name).write_bytes(photo[:50])
    result = masker("mask", name, "-o", "b.jpg")
    assert result.exit_code == 1
    assert "\x1b" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_video_that_breaks_off_is_masked_as_far_as_it_goes_and_needs_review(
    masker: Run,
    small: np.ndarray,
    write_clip: Callable[[Path, list[np.ndarray]], None],
    tmp_path: Path,
) -> None:
    noise = np.random.default_rng(5).integers(0, 40, (40, *small.shape), np.uint8)
    write_clip(tmp_path / "whole.mkv", [small // 2 + each for each in noise])
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "half.mkv").write_bytes(data[: len(data) * 3 // 4])
    result = masker("mask", "half.mkv", "-o", "out.mkv", "--report", "out.json", "--json")
    assert (result.exit_code, lines(result)[0]["state"]) == (3, "needs_review")
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["damage"]
    assert 0 < report["frames"] < 40
    # Noise makes weak detections come and go; a face is sure.
    assert masker("verify", "half.mkv", "out.mkv", "out.json", "--threshold", "0.6").exit_code == 0


def test_every_style_has_its_line_and_says_what_it_is(masker: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = masker("styles")
    faces, _, voices = result.stdout.partition("voices (--voice-style)\n")
    assert [line.split()[0] for line in faces.splitlines()[1:]] == sorted(STYLES, key=list(FACE_LABELS).index)
    told = [line.split()[0] for line in voices.splitlines()[:-1]]
    tiers = sorted(TIERS, key=list(VOICE_LABELS).index)
    assert told == [word for tier in tiers for word in (tier, "measured:")], "the model that ships was measured"
    assert result.stdout.count("The default.") == 2
    assert "figures of voice-masker version 1" in voices
    monkeypatch.setenv("MASKER_REGISTRY__VOICE_MODEL", "nobody")
    assert "no model of voices is installed" in masker("styles").stdout


def test_what_was_measured_of_a_voice_stands_below_it(tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text('{"strong": {"eer": 0.31234, "people": 70, "rank1": "?"}, "other": 3}')
    bundle = Bundle(tmp_path, "voice-masker", "4", "", "", {}, tmp_path, figures=tmp_path / "figures.json")
    told = list(lines_of(bundle, "solid", "strong"))
    at = next(number for number, line in enumerate(told) if line.split()[0] == "strong")
    sentence = "measured: the strongest attacker errs in 31.2% of pairs (50%: a guess), among 70 people"
    assert told[at + 1].strip() == sentence
    assert told[-1] == "figures of voice-masker version 4"
    (tmp_path / "figures.json").write_text("[")
    assert list(lines_of(bundle, "solid", "strong"))[-1] == "nothing was measured of voice-masker version 4"


@pytest.mark.parametrize("command", [[], ["mask"], ["verify"], ["cam"], ["styles"]])
def test_every_command_has_help(command: list[str], masker: Run) -> None:
    result = masker(*command, "--help")
    assert (result.exit_code, result.stdout.startswith("Usage: ")) == (0, True)
