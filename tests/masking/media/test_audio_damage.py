import numpy as np
import pytest

from masking.errors import DamagedMedia, EmptyMedia, MediaTooLarge, UnsupportedMedia
from masking.media.audio import AudioLimits
from tests.masking.media.sounds import WAVE, copy, make, read, riff


def cut(data, part):
    return data[: int(len(data) * part)]


def zapped(data):
    at = len(data) // 2
    return data[:at] + bytes(200) + data[at + 200 :]


@pytest.mark.parametrize(
    ("muxer", "codec", "muxing", "harm"),
    [
        ("wav", "pcm_s16le", {}, lambda data: cut(data, 0.6)),
        ("flac", "flac", {}, lambda data: cut(data, 0.6)),
        ("flac", "flac", {}, zapped),
        ("mp3", "libmp3lame", {}, lambda data: cut(data, 0.6)),
        ("mp3", "libmp3lame", {"write_xing": "0"}, lambda data: cut(data, 0.6)),
        ("adts", "aac", {}, lambda data: cut(data, 0.6)),
        ("ipod", "aac", {"movflags": "faststart"}, lambda data: cut(data, 0.6)),
        ("ogg", "libopus", {"page_duration": "100000"}, lambda data: cut(data, 0.6)),
        ("ogg", "libopus", {"page_duration": "100000"}, zapped),
        ("matroska", "aac", {}, lambda data: cut(data, 0.6)),
    ],
)
def test_damaged_sound_is_read_up_to_the_damage(tmp_path, muxer, codec, muxing, harm):
    packed = "flt" if codec in ("aac", "libmp3lame", "libopus") else "s16"
    rate = 48000 if codec == "libopus" else 16000
    source = make(tmp_path / "in", muxer, codec, rate, samples=5 * rate, packed=packed, muxing=muxing)
    whole, _ = read(source)
    source.write_bytes(harm(source.read_bytes()))
    samples, reader = read(source)
    assert reader.damage
    assert 0.3 * len(whole) < len(samples) < 0.7 * len(whole)
    same = len(samples) - 2048  # the last frame of a lossy codec lacks its neighbour
    np.testing.assert_allclose(samples[:same], whole[:same], atol=1e-4)


def joined(*paths):
    return b"".join(path.read_bytes() for path in paths)


def test_sound_that_changes_on_the_way_is_refused(tmp_path):
    one = make(tmp_path / "one.aac", "adts", "aac", 16000, packed="flt")
    two = make(tmp_path / "two.aac", "adts", "aac", 22050, packed="flt")
    (tmp_path / "both.aac").write_bytes(joined(one, two))
    with pytest.raises(UnsupportedMedia, match="change on the way"):
        read(tmp_path / "both.aac")
    one = make(tmp_path / "one.ogg", "ogg", "libopus", 48000, packed="flt")
    (tmp_path / "both.ogg").write_bytes(joined(one, one))
    with pytest.raises(UnsupportedMedia, match="split it"):
        read(tmp_path / "both.ogg")


BAD = {
    "no bytes": (b"", EmptyMedia, "no bytes"),
    "text": (b"This is a text, whatever its name says. " * 200, UnsupportedMedia, "only WAV"),
    "big-endian WAV": (riff(WAVE, form=b"RIFX"), UnsupportedMedia, "only WAV"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), UnsupportedMedia, "only WAV"),
    "no samples": (riff(WAVE[:0]), EmptyMedia, "no samples"),
    "header alone": (riff(WAVE)[:30], DamagedMedia, "header"),
    "RIFF that is a film": (b"RIFF\x10\0\0\0AVI LIST" + bytes(100), UnsupportedMedia, "only WAV"),
    "96 kHz": (riff(WAVE, rate=96000), UnsupportedMedia, "96000 Hz.*resample"),
    "too few Hz": (riff(WAVE, rate=4000), UnsupportedMedia, "4000 Hz"),
    "no rate": (riff(WAVE, rate=0), DamagedMedia, "header"),
    "many channels": (riff(WAVE[:180], channels=9), UnsupportedMedia, "9 channels.*mix it down"),
    "too many bytes": (riff(np.zeros(11_000_000, np.int16)), MediaTooLarge, "cut it"),
    "too long": (riff(np.zeros(61 * 8000, np.int16), rate=8000), MediaTooLarge, "longer than 60 seconds"),
    "noise named mp3": (b"\xff\xfb\x90\x00" + np.random.default_rng(3).bytes(4000), UnsupportedMedia, "only WAV"),
    "Theora": (b"OggS\0\2" + bytes(20) + b"\x01\x2a\x80theora" + bytes(60), UnsupportedMedia, "only WAV"),
    "Ogg without end": (b"OggS\0\2" + bytes(20) + b"\x01\x13OpusHead\1\1", DamagedMedia, "the sound"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_clear_answer(tmp_path, name):
    data, error, text = BAD[name]
    source = tmp_path / "sound.wav"
    source.write_bytes(data)
    with pytest.raises(error, match=text):
        read(source)


def test_a_header_that_states_less_than_there_is_does_not_pass_the_limit(tmp_path):
    source = make(tmp_path / "in.mp3", "mp3", "libmp3lame", 8000, samples=90_000, packed="flt")
    data = source.read_bytes()
    at = data.index(b"Info") if b"Info" in data else data.index(b"Xing")
    source.write_bytes(data[: at + 8] + (2).to_bytes(4, "big") + data[at + 12 :])
    with pytest.raises(MediaTooLarge):
        read(source, AudioLimits(bytes=10**6, seconds=5))


@pytest.mark.parametrize(("muxer", "codec"), [("mp3", "libmp3lame"), ("adts", "aac")])
def test_a_stream_that_was_cut_anywhere_is_known_by_its_next_frames(tmp_path, muxer, codec):
    source = make(tmp_path / "in", muxer, codec, packed="flt", samples=30_000)
    source.write_bytes(source.read_bytes()[1000:])
    samples, reader = read(source)
    assert 25_000 < len(samples) < 31_000
    assert reader.damage is None
    copy(source, tmp_path / "out")
    assert len(read(tmp_path / "out")[0]) == len(samples)
