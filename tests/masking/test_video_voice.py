import json
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from masking.errors import ModelError, PolicyError
from masking.media.probe import ImageLimits
from masking.media.video import VideoLimits
from masking.policy import VideoPolicy
from masking.types import Faces
from masking.verify import Judge, read_report, verify
from masking.verify_voice import listen_to_video
from masking.video import mask_video
from masking.voice.policy import VoicePolicy

LIMITS = VideoLimits(bytes=10_000_000, pixels=1_000_000, side=2_000, seconds=60)
KEY = b"of the test, and of nobody else."
POLICY = VideoPolicy(sound="mask", voice=VoicePolicy("one-voice", key=KEY))
FPS = 10


def nobody(pixels: np.ndarray, threshold: float) -> Faces:
    """A detector for pictures without people."""
    return Faces.none()


def film(path, said, muxer="mp4", video="libx264", sound="aac", channels=1):
    """Write grey pictures as long as the speech, and the speech at 48 kHz where there is a codec for it."""
    with av.open(str(path), "w", format=muxer) as target:
        pictures = target.add_stream(video, rate=FPS, options={"preset": "ultrafast"} if video == "libx264" else {})
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        voice = target.add_stream(sound, rate=48_000, layout="stereo" if channels == 2 else "mono") if sound else None
        for number in range(len(said) * FPS // 16_000):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 + number, np.uint8))
            picture.pts, picture.time_base = number, Fraction(1, FPS)
            target.mux(pictures.encode(picture))
        target.mux(pictures.encode(None))
        if voice is not None:
            add(target, voice, said, channels)
    return path


def add(target, voice, said, channels):
    layout = voice.layout.name
    resampler = av.AudioResampler(voice.format.name, layout, 48_000, voice.codec_context.frame_size or 1024)
    planar = np.ascontiguousarray(np.repeat(said[None], channels, axis=0))
    frame = av.AudioFrame.from_ndarray(planar, "fltp", layout)
    frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
    for piece in (*resampler.resample(frame), *resampler.resample(None)):
        target.mux(voice.encode(piece))
    target.mux(voice.encode(None))


def heard(path):
    """Decode the sound as one channel at 16 kHz, as a player would."""
    with av.open(str(path)) as file:
        resampler = av.AudioResampler("flt", "mono", 16_000)
        frames = [made for frame in file.decode(audio=0) for made in resampler.resample(frame)]
        return np.concatenate([made.to_ndarray()[0] for made in (*frames, *resampler.resample(None))])


@pytest.fixture(scope="module")
def said(talk):
    return np.concatenate([talk(0, 2), talk(1, 2)])


@pytest.mark.parametrize(
    ("muxer", "video", "sound", "channels"),
    [("mp4", "libx264", "aac", 1), ("mov", "libx264", "aac", 2), ("matroska", "libx264", "flac", 1),
     ("webm", "libvpx-vp9", "libopus", 2)],
)  # fmt: skip
def test_the_voices_of_a_video_are_other_ones_at_the_same_times(
    muxer, video, sound, channels, said, voice_model, tmp_path
):
    source = film(tmp_path / "in", said, muxer, video, sound, channels)
    target = tmp_path / "out"
    report = mask_video(source, target, POLICY, nobody, LIMITS, voice_model=voice_model)
    assert report.voice is not None
    assert (report.voice.kind, report.voice.channels, report.voice.rate) == (report.kind, channels, 48_000)
    assert report.voice.seconds == pytest.approx(len(said) / 16_000, abs=0.05)
    assert report.voice.utterances
    assert not report.needs_review
    before, after = heard(source), heard(target)
    assert abs(len(before) - len(after)) < 1600
    size = min(len(before), len(after)) // 1600 * 1600
    before, after = before[:size], after[:size]
    assert abs(np.corrcoef(before, after)[0, 1]) < 0.3
    levels = [np.abs(each).reshape(-1, 1600).mean(axis=1) for each in (before, after)]
    assert np.corrcoef(*levels)[0, 1] > 0.8
    assert listen_to_video(source, target, LIMITS, voice_model.vad).findings == ()
    assert listen_to_video(source, source, LIMITS, voice_model.vad).open_seconds > 1


def test_a_second_look_listens_too(said, voice_model, tmp_path):
    source = film(tmp_path / "in.mp4", said)
    report = mask_video(source, tmp_path / "out.mp4", POLICY, nobody, LIMITS, voice_model=voice_model)
    report = read_report(json.dumps(report.as_dict()).encode())
    judge = Judge(nobody, ImageLimits(1, 1, 1), LIMITS, vad=voice_model.vad)
    assert verify(source, tmp_path / "out.mp4", report, judge).findings == ()
    kept = mask_video(source, tmp_path / "kept.mp4", VideoPolicy(sound="keep"), nobody, LIMITS)
    lied = replace(kept, voice=report.voice)
    assert {each.code for each in verify(source, tmp_path / "kept.mp4", lied, judge).findings} == {"open_voice"}
    mask_video(source, tmp_path / "mute.mp4", VideoPolicy(), nobody, LIMITS)
    (finding,) = listen_to_video(source, tmp_path / "mute.mp4", LIMITS, voice_model.vad).findings
    assert finding.code == "sound"


def test_a_video_without_sound_is_masked_as_ever(said, voice_model, tmp_path):
    source = film(tmp_path / "in.mp4", said, sound=None)
    report = mask_video(source, tmp_path / "out.mp4", POLICY, nobody, LIMITS, voice_model=voice_model)
    assert report.voice is None
    assert report.notes == mask_video(source, tmp_path / "out.mp4", VideoPolicy(), nobody, LIMITS).notes


def test_voices_are_not_masked_without_a_model(said, tmp_path):
    source = film(tmp_path / "in.mp4", said)
    with pytest.raises(PolicyError, match="voice model"):
        mask_video(source, tmp_path / "out.mp4", POLICY, nobody, LIMITS)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


class Failing:
    def run(self, names, inputs):
        raise RuntimeError("out of memory")


def test_a_model_that_fails_leaves_no_file(said, voice_model, tmp_path):
    source = film(tmp_path / "in.mp4", said)
    broken = replace(voice_model, vad=Failing())
    with pytest.raises(ModelError):
        mask_video(source, tmp_path / "out.mp4", POLICY, nobody, LIMITS, voice_model=broken)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_what_was_asked_for_is_told_without_the_key():
    plain = VideoPolicy()
    assert "voice" not in plain.facts()
    assert POLICY.facts()["voice"] == {"style": "one-voice", "background": "drop", "consistent": False}
    assert "key" not in json.dumps(POLICY.facts())
    assert len({plain.digest, VideoPolicy(sound="mask").digest, POLICY.digest}) == 3
    assert plain.digest == VideoPolicy(voice=VoicePolicy("disguise")).digest
