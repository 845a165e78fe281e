import json
import stat
import wave
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from typer.testing import Result

from masking.voice import policy
from masking.voice.types import RATE, Mono

Run = Callable[..., Result]
Write = Callable[..., None]


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(float)


def alike(one: np.ndarray, other: np.ndarray) -> float:
    return float(abs(np.corrcoef(one, other)[0, 1]))


@pytest.fixture
def spoken(talk: Mono, write_sound: Write, tmp_path: Path) -> Path:
    write_sound(tmp_path / "a.wav", talk, "pcm_s16le", "who it is")
    return tmp_path / "a.wav"


@pytest.fixture
def same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """How alike two voices are hangs on the key: of those that are drawn anew each time, some day one is odd."""
    monkeypatch.setattr(policy, "secrets", SimpleNamespace(token_bytes=bytes))


@pytest.mark.usefixtures("same_key")
def test_a_sound_file_comes_out_with_another_voice(masker: Run, spoken: Path, tmp_path: Path) -> None:
    result = masker("mask", "a.wav", "-o", "deep/b.wav", "--report", "b.json", "--json")
    (line,) = lines(result)
    assert (result.exit_code, line["state"], line["kind"], line["faces"]) == (0, "masked", "audio/wav", 0)
    before, after = samples(spoken), samples(tmp_path / "deep/b.wav")
    assert len(after) == len(before)
    assert alike(before, after) < 0.2
    assert np.abs(after[8_000:-8_000]).mean() > 100
    report = json.loads((tmp_path / "b.json").read_text())
    assert (report["rate"], report["channels"], report["model"], report["style"]) == (RATE, 1, "voice-masker", "strong")
    assert line["speech"] == report["speech_seconds"] > 1
    assert f"{line['speech']:.1f} s of speech masked" in result.stderr
    assert stat.S_IMODE((tmp_path / "deep/b.wav").stat().st_mode) & stat.S_IROTH
    assert b"who it is" not in (tmp_path / "deep/b.wav").read_bytes()


def test_sound_goes_beside_photos_and_videos_and_one_broken_file_stops_no_other(
    masker: Run, spoken: Path, photo: bytes, talk: Mono, write_sound: Write, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    spoken.rename(folder / "a.wav")
    (folder / "face.jpg").write_bytes(photo)
    write_sound(folder / "sub/b.ogg", talk, "libopus")
    write_sound(folder / "sub/c.m4a", talk, "aac")
    (folder / "text.wav").write_text("words that somebody named sound")
    (folder / "empty.mp3").touch()
    (folder / "song.wma").write_bytes(b"\x30\x26\xb2\x75")
    result = masker("mask", "in", "-o", "out", "--json", "--report", "reports")
    told = {str(line["file"]).removeprefix("in/"): line for line in lines(result)}
    assert {name: line["state"] for name, line in told.items()} == {
        "a.wav": "masked", "face.jpg": "masked", "sub/b.ogg": "masked", "sub/c.m4a": "masked",
        "text.wav": "failed", "empty.mp3": "failed", "song.wma": "failed",
    }  # fmt: skip
    assert result.exit_code == 1
    assert str(told["text.wav"]["error"]).startswith("UnsupportedMedia: only WAV")
    assert str(told["empty.mp3"]["error"]).startswith("EmptyMedia")
    assert (told["face.jpg"]["speech"], told["face.jpg"]["faces"]) == (None, 1)
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")) == [
        "a.wav", "face.jpg", "sub/b.ogg", "sub/c.m4a",
    ]  # fmt: skip
    assert json.loads((tmp_path / "reports/sub/b.ogg.json").read_text())["kind"] == "audio/ogg"
    again = masker("mask", "in", "-o", "out", "--json", "--skip-existing")
    assert {str(line["file"]): line["state"] for line in lines(again)}["in/a.wav"] == "skipped"
    assert masker("mask", "in/a.wav", "-o", "out/a.wav").exit_code == 2
    assert masker("mask", "in/a.wav", "-o", "out/a.wav", "--force").exit_code == 0


def test_a_dry_run_tells_of_the_speech_and_writes_nothing(
    masker: Run, spoken: Path, talking_clip: Path, tmp_path: Path
) -> None:
    result = masker("mask", "a.wav", talking_clip, "--dry-run", "--voice", "mask", "--json")
    sound, video = sorted(lines(result), key=lambda line: str(line["kind"]))
    assert (result.exit_code, sound["state"], video["state"]) == (0, "found", "found")
    masked = lines(masker("mask", "a.wav", "-o", "b.wav", "--json"))[0]
    assert sound["speech"] == masked["speech"]
    assert (video["faces"], float(str(video["speech"])) > 0.5) == (1, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav"]
    assert "s of speech found" in result.stderr


def heard(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)]).astype(float)


@pytest.mark.usefixtures("same_key")
def test_the_sound_of_a_video_is_dropped_masked_or_kept(masker: Run, talking_clip: Path, tmp_path: Path) -> None:
    for voice in ("drop", "mask", "keep"):
        options = ("--voice", voice, "--report", f"{voice}.json")
        assert masker("mask", talking_clip, "-o", f"{voice}.mkv", *options).exit_code == 0
    with av.open(str(tmp_path / "drop.mkv")) as container:
        assert not container.streams.audio
    before = heard(talking_clip)
    masked = heard(tmp_path / "mask.mkv")
    least = min(len(before), len(masked))
    assert alike(before[:least], masked[:least]) < 0.2
    assert np.array_equal(heard(tmp_path / "keep.mkv"), before)
    assert json.loads((tmp_path / "drop.json").read_text())["voice"] is None
    assert json.loads((tmp_path / "mask.json").read_text())["voice"]["speech_seconds"] > 0.5
    assert masker("verify", talking_clip, "mask.mkv", "mask.json").exit_code == 0
    result = masker("verify", talking_clip, "keep.mkv", "mask.json")
    assert (result.exit_code, "open_voice" in result.stdout) == (4, True)


def test_the_policy_can_be_chosen(masker: Run, spoken: Path, tmp_path: Path) -> None:
    options = ("--voice-style", "one-voice", "--background", "keep", "--consistent")
    assert masker("mask", "a.wav", "-o", "b.wav", "--report", "b.json", *options).exit_code == 0
    report = json.loads((tmp_path / "b.json").read_text())
    assert (report["style"], report["background"], report["consistent"]) == ("one-voice", "keep", True)


def test_the_same_key_draws_the_same_voices_and_none_never_does(masker: Run, spoken: Path, tmp_path: Path) -> None:
    (tmp_path / "one.key").write_text("1" * 64)
    for name, options in (("b", ("--key-file", "one.key")), ("c", ("--key-file", "one.key")), ("d", ()), ("e", ())):
        assert masker("mask", "a.wav", "-o", f"{name}.wav", *options).exit_code == 0
    b, c, d, e = ((tmp_path / f"{name}.wav").read_bytes() for name in "bcde")
    assert b == c
    assert len({b, d, e}) == 3


@pytest.mark.usefixtures("same_key")
def test_sound_goes_through_a_pipe(masker: Run, spoken: Path, tmp_path: Path) -> None:
    result = masker("mask", "-", "-o", "-", stdin=spoken.read_bytes())
    assert result.exit_code == 0
    (tmp_path / "b.wav").write_bytes(result.stdout_bytes)
    assert len(samples(tmp_path / "b.wav")) == len(samples(spoken))
    assert alike(samples(tmp_path / "b.wav"), samples(spoken)) < 0.2
    assert masker("mask", "a.wav", "-o", "-").stdout_bytes[:4] == b"RIFF"


def test_without_a_model_of_voices_faces_are_masked_all_the_same(
    masker: Run, spoken: Path, photo: bytes, talking_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASKER_REGISTRY__VOICE_MODEL", "nobody")
    (tmp_path / "face.jpg").write_bytes(photo)
    result = masker("mask", "a.wav", "face.jpg", talking_clip, "-o", "out", "--voice", "mask", "--json")
    told = {Path(str(line["file"])).name: line for line in lines(result)}
    assert result.exit_code == 1
    assert {name: line["state"] for name, line in told.items()} == {
        "a.wav": "failed", "face.jpg": "masked", "talking.mkv": "failed",
    }  # fmt: skip
    for name in ("a.wav", "talking.mkv"):
        assert "no model of voices is installed: run `make run` or `make repro`" in str(told[name]["error"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["face.jpg"]


def test_without_a_model_of_faces_voices_are_masked_all_the_same(
    masker: Run, spoken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASKER_REGISTRY__MODEL", "nobody")
    assert masker("mask", "a.wav", "-o", "b.wav").exit_code == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [(("--voice", "loud"), "unknown voice"), (("--voice-style", "robot"), "unknown voice style"),
     (("--background", "loud"), "unknown background")],
)  # fmt: skip
def test_wrong_usage_exits_2(options: tuple[str, ...], told: str, masker: Run, spoken: Path, tmp_path: Path) -> None:
    result = masker("mask", "a.wav", "-o", "b.wav", *options)
    assert (result.exit_code, told in " ".join(result.stderr.split())) == (2, True)
    assert not (tmp_path / "b.wav").exists()


@pytest.mark.usefixtures("same_key")
def test_a_second_hearing_finds_a_voice_that_came_through(
    masker: Run, spoken: Path, photo: bytes, tmp_path: Path
) -> None:
    assert masker("mask", "a.wav", "-o", "b.wav", "--report", "b.json").exit_code == 0
    nothing = masker("verify", "a.wav", "b.wav", "b.json", "--json")
    assert (nothing.exit_code, lines(nothing)[0]["state"]) == (0, "nothing_shows")
    open_voice = masker("verify", "a.wav", "a.wav", "b.json")
    assert open_voice.exit_code == 4
    assert {line.split(":")[0] for line in open_voice.stdout.splitlines()} >= {"output_hash", "open_voice", "metadata"}
    (tmp_path / "face.jpg").write_bytes(photo)
    mixed = masker("verify", "a.wav", "face.jpg", "b.json")
    assert (mixed.exit_code, "the other is not" in " ".join(mixed.stderr.split())) == (2, True)
    (tmp_path / "no.json").write_text("{}")
    assert masker("verify", "a.wav", "b.wav", "no.json").exit_code == 1


def test_sound_that_breaks_off_needs_review(masker: Run, talk: Mono, write_sound: Write, tmp_path: Path) -> None:
    write_sound(tmp_path / "a.flac", np.tile(talk, 2), "flac")
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "half.flac").write_bytes(data[: len(data) * 3 // 4])
    result = masker("mask", "half.flac", "-o", "out.flac", "--json")
    assert (result.exit_code, lines(result)[0]["state"]) == (3, "needs_review")
