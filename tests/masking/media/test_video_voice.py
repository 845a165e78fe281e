from fractions import Fraction
from functools import cache

import av
import numpy as np
import pytest

from masking.errors import ModelError, UnsupportedMedia
from masking.media.audio import AudioLimits
from masking.media.video import VideoLimits, VideoWriter, open_video, probe_video
from masking.media.video_track import probe_track
from masking.media.video_voice import VoiceTrack

LIMITS = VideoLimits(bytes=10_000_000, pixels=1_000_000, side=2_000, seconds=600)
SOUND = AudioLimits(bytes=10_000_000, seconds=600)
SECONDS = 2
FPS = 25


@cache
def noise(samples, channels, rate):
    """Noise below 2 kHz, another one in each channel, so that a shift shows."""
    white = np.fft.rfft(np.random.default_rng(channels).standard_normal((samples, channels)), axis=0)
    white[np.fft.rfftfreq(samples, 1 / rate) > 2000] = 0
    wave = np.fft.irfft(white, samples, axis=0)
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)


def make(path, muxer, video, sound, rate, channels=2, start=0.0, gap=0.0):
    """Write a film of 2 s whose sound begins at ``start``, and is interrupted for ``gap`` seconds after half of it."""
    layout = {1: "mono", 2: "stereo"}[channels]
    wave = noise(int(SECONDS * rate), channels, rate)
    with av.open(str(path), "w", format=muxer) as target:
        pictures = target.add_stream(video, rate=FPS, options={"preset": "ultrafast"} if video == "libx264" else {})
        pictures.codec_context.thread_count = 1
        pictures.codec_context.width, pictures.codec_context.height = 64, 48
        voice = target.add_stream(sound, rate=rate, layout=layout, options={"strict": "-2"})
        voice.codec_context.time_base = Fraction(1, rate)
        voice.codec_context.open()
        for number in range(SECONDS * FPS):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 + number, np.uint8))
            picture.pts = number
            target.mux(pictures.encode(picture))
        target.mux(pictures.encode(None))
        step = voice.codec_context.frame_size or 1000
        for at in range(0, len(wave), step):
            block = wave[at : at + step]
            packed = voice.codec_context.format.packed.name
            if packed.startswith("s"):
                top = np.iinfo(np.int16 if packed == "s16" else np.int32).max
                block = np.rint(block.astype(np.float64) * top * 0.99).astype(np.int16 if packed == "s16" else np.int32)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block).reshape(1, -1), packed, layout)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = at + round(rate * (start + (gap if at >= len(wave) // 2 else 0)))
            target.mux(voice.encode(frame))
        target.mux(voice.encode(None))
    return path


def timeline(path):
    """Decode as any player would: times of the pictures, facts of the sound, and its samples on the pictures' clock.

    Matroska tells times by the millisecond, so that frames are laid side by side where they are nearly so.
    """
    with av.open(str(path)) as source:
        pictures = [frame.time for frame in source.decode(source.streams.video[0])]
    with av.open(str(path)) as source:
        stream = source.streams.audio[0]
        packer = av.AudioResampler("flt")
        frames = list(source.decode(stream))
        rate = frames[0].sample_rate
        whole = np.zeros((rate * (SECONDS + 3), frames[0].layout.nb_channels), np.float32)
        end = 0
        for frame in frames:
            told = round((frame.time - pictures[0] + 1) * rate)
            at = end if abs(told - end) < 0.01 * rate else told
            for part in packer.resample(frame):
                block = part.to_ndarray().reshape(-1, frame.layout.nb_channels)
                whole[at : at + len(block)] = block
            end = at + frame.samples
        facts = (stream.codec_context.codec.canonical_name, rate, frames[0].layout.nb_channels)
    return pictures, facts, whole


def lag(one, other):
    """By how many samples the second sound is later, and how alike the two are then: the least of the channels."""
    found = []
    for c in range(one.shape[1]):
        a, b = (np.fft.rfft(sound[:, c], 2 * len(sound)) for sound in (one, other))
        across = np.fft.irfft(np.conj(a) * b) / np.sqrt((one[:, c] ** 2).sum() * (other[:, c] ** 2).sum())
        at = int(across.argmax())
        found.append((at if at < len(one) else at - 2 * len(one), float(across[at])))
    return min(found, key=lambda pair: pair[1])


def late(delay):
    """A mask that changes nothing and is late by ``delay`` samples."""
    held = [np.empty((0, 0), np.float32)]

    def mask(block):
        held[0] = np.concatenate([held[0].reshape(-1, block.shape[1]), block])
        ready, held[0] = held[0][: max(0, len(held[0]) - delay)], held[0][max(0, len(held[0]) - delay) :]
        return ready

    def flush():
        return held[0]

    return mask, flush


def mask(source, target, delay=777, functions=None):
    probe = probe_video(source, LIMITS)
    track = VoiceTrack(source, probe, probe_track(source, probe, SOUND), *(functions or late(delay)))
    with open_video(source, probe) as reader, VideoWriter(target, reader, sound=track) as writer:
        for frame in reader:
            writer.write(frame)
        writer.commit()
    return track


KEPT = [
    ("mp4", "libx264", "aac", 44100, 2), ("mp4", "libx264", "aac", 16000, 1), ("mp4", "libx264", "libopus", 48000, 2),
    ("mp4", "libx264", "libmp3lame", 44100, 2), ("mov", "libx264", "aac", 48000, 2),
    ("mov", "libx264", "pcm_s16le", 48000, 2), ("mov", "libx264", "pcm_s24be", 44100, 1),
    ("matroska", "libx264", "aac", 44100, 2),
    ("matroska", "libx264", "libopus", 48000, 1), ("matroska", "libx264", "libmp3lame", 44100, 2),
    ("matroska", "libx264", "flac", 44100, 2), ("matroska", "libx264", "pcm_s16le", 48000, 1),
    ("webm", "libvpx-vp9", "libopus", 48000, 2),
]  # fmt: skip


@pytest.mark.parametrize("start", [0.0, 0.5])
@pytest.mark.parametrize(("muxer", "video", "sound", "rate", "channels"), KEPT)
def test_sound_stays_in_step_with_the_pictures(tmp_path, muxer, video, sound, rate, channels, start):
    source = make(tmp_path / "in", muxer, video, sound, rate, channels, start)
    track = mask(source, tmp_path / "out")
    before, after = timeline(source), timeline(tmp_path / "out")
    np.testing.assert_allclose(np.diff(after[0]), np.diff(before[0]), atol=0.0011)
    assert after[1] == before[1]
    late_by, alike = lag(before[2], after[2])
    assert abs(late_by) <= (rate / 1000 if muxer in ("matroska", "webm") else 0)
    assert alike > 0.97
    assert (track.damage, track.notes) == (None, ())


@pytest.mark.parametrize(("muxer", "video"), [("webm", "libvpx-vp9"), ("matroska", "libx264")])
def test_vorbis_becomes_opus_at_the_same_place(tmp_path, muxer, video):
    source = make(tmp_path / "in", muxer, video, "vorbis", 44100)
    track = mask(source, tmp_path / "out")
    assert track.notes == ("sound_recoded_as_opus", "rate_changed_to_48000")
    (_, _, before), (_, facts, after) = timeline(source), timeline(tmp_path / "out")
    assert facts == ("opus", 48000, 2)
    at = np.arange(len(after)) * 44100 / 48000
    moved = np.stack([np.interp(at, np.arange(len(before)), before[:, c]) for c in range(2)], axis=1)
    late_by, alike = lag(moved, after)
    assert abs(late_by) <= 48
    assert alike > 0.95


def test_a_gap_in_the_sound_stays_a_gap(tmp_path):
    source = make(tmp_path / "in", "matroska", "libx264", "aac", 48000, 1, gap=0.7)
    track = mask(source, tmp_path / "out")
    assert track.notes == ("gaps_in_sound_are_silent",)
    late_by, alike = lag(timeline(source)[2], timeline(tmp_path / "out")[2])
    assert abs(late_by) <= 48
    assert alike > 0.97


def test_nothing_of_the_voice_is_left_where_the_mask_is_silence(tmp_path):
    source = make(tmp_path / "in", "mp4", "libx264", "aac", 44100, 2)
    mask(source, tmp_path / "out", functions=(np.zeros_like, lambda: np.empty((0, 2), np.float32)))
    heard = timeline(tmp_path / "out")[2]
    assert np.abs(heard).max() < 1e-4
    assert np.abs(timeline(source)[2]).max() > 0.1


def failing(block):
    raise ModelError("nonsense")


@pytest.mark.parametrize(
    ("functions", "error"),
    [
        ((failing, lambda: np.empty((0, 2), np.float32)), ModelError),
        ((lambda block: block, lambda: np.zeros((1, 2), np.float32)), ValueError),
        ((lambda block: block[:-1], lambda: np.empty((0, 2), np.float32)), ValueError),
        ((lambda block: block[:, :1], lambda: np.empty((0, 2), np.float32)), ValueError),
        ((lambda block: block * np.nan, lambda: np.empty((0, 2), np.float32)), ValueError),
    ],
)
def test_a_mask_that_fails_fails_the_whole_video(tmp_path, functions, error):
    source = make(tmp_path / "in", "mp4", "libx264", "aac", 44100)
    with pytest.raises(error):
        mask(source, tmp_path / "out", functions=functions)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_film_that_is_cut_off_is_masked_up_to_there(tmp_path):
    source = make(tmp_path / "in", "matroska", "libx264", "aac", 44100)
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 6 // 10])
    mask(source, tmp_path / "out")
    late_by, alike = lag(timeline(source)[2], timeline(tmp_path / "out")[2])
    assert abs(late_by) <= 44
    assert alike > 0.9


def test_what_cannot_be_masked_is_refused_before(tmp_path):
    source = make(tmp_path / "in", "matroska", "libx264", "pcm_s16le", 48000)
    probe = probe_video(source, LIMITS)
    with pytest.raises(UnsupportedMedia, match="48000 Hz"):
        probe_track(source, probe, AudioLimits(bytes=10**7, seconds=600, highest_rate=44_100))
    with pytest.raises(UnsupportedMedia, match="2 channels"):
        probe_track(source, probe, AudioLimits(bytes=10**7, seconds=600, channels=1))
    mute = tmp_path / "mute"
    with open_video(source, probe) as reader, VideoWriter(mute, reader) as writer:
        for frame in reader:
            writer.write(frame)
        writer.commit()
    with pytest.raises(UnsupportedMedia, match="no sound"):
        probe_track(mute, probe_video(mute, LIMITS), SOUND)
