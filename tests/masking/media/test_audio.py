import struct

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masking.errors import DamagedMedia, StorageError
from masking.media.audio import AudioWriter, open_audio, probe_audio
from masking.media.audio_reader import in_blocks
from masking.media.audio_samples import from_frame, to_frame
from tests.masking.media.sounds import LIMITS, SUFFIX, WAVE, copy, make, noise, plain, read, riff

WAV = ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"]
EXACT = [
    *[("wav", codec, None, 16000, channels) for codec in WAV for channels in (1, 2)],
    *[("wav", "pcm_s16le", None, rate, 1) for rate in (8000, 11025, 44100, 48000)],
    *[("wav", "pcm_s24le", None, 48000, channels) for channels in (3, 6, 8)],
    *[("flac", "flac", packed, 44100, channels) for packed in ("s16", "s32") for channels in (1, 2, 8)],
    *[("flac", "flac", "s16", rate, 1) for rate in (8000, 22050, 48000)],
    *[("ipod", "alac", packed, 44100, channels) for packed in ("s16", "s32") for channels in (1, 2)],
    *[
        ("ogg", "flac", "s16", 22050, 2),
        ("matroska", "pcm_s16le", None, 48000, 2),
        ("matroska", "flac", "s16", 48000, 1),
    ],
]
LOSSY = [
    *[("mp3", "libmp3lame", "flt", rate, 1) for rate in (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000)],
    *[("mp3", "libmp3lame", "flt", rate, 2) for rate in (16000, 44100)],
    *[("ipod", "aac", "flt", rate, 1) for rate in (8000, 16000, 22050, 44100, 48000)],
    *[("ipod", "aac", "flt", 48000, channels) for channels in (2, 3, 6, 8)],
    *[("mp4", "aac", "flt", 44100, 2), ("mp4", "libopus", "flt", 48000, 1), ("adts", "aac", "flt", 16000, 1)],
    *[("adts", "aac", "flt", 44100, 2), ("matroska", "aac", "flt", 44100, 2), ("webm", "libopus", "flt", 48000, 1)],
    *[("ogg", "libopus", "flt", 48000, channels) for channels in (1, 2, 6, 8)],
]


def made(tmp_path, muxer, codec, packed, rate, channels, samples):
    muxing = {"movie_timescale": str(rate)} if muxer in ("ipod", "mp4") else {}
    name = f"in.{SUFFIX.get(muxer, muxer)}"
    return make(tmp_path / name, muxer, codec, rate, channels, samples=samples, packed=packed, muxing=muxing)


@pytest.mark.parametrize(("muxer", "codec", "packed", "rate", "channels"), EXACT)
def test_sound_that_is_stored_exactly_comes_out_as_it_went_in(tmp_path, muxer, codec, packed, rate, channels):
    for samples in (1, 12345):
        source = made(tmp_path, muxer, codec, packed, rate, channels, samples)
        _, reader, writer = copy(source, tmp_path / "out")
        (facts, heard), (same, again) = plain(source), plain(tmp_path / "out")
        assert facts == same
        assert facts["samples"] == reader.samples == writer.samples == samples
        np.testing.assert_array_equal(heard, again)
        assert (reader.damage, writer.notes) == (None, ())


@pytest.mark.parametrize(("muxer", "codec", "packed", "rate", "channels"), LOSSY)
def test_lossy_sound_keeps_length_and_place_to_the_sample(tmp_path, muxer, codec, packed, rate, channels):
    least = {"mp3": 48, "adts": 3000, "mp4": 3000}.get(muxer, 1)
    for samples in (least, 12345):
        source = made(tmp_path, muxer, codec, packed, rate, channels, samples)
        _, reader, writer = copy(source, tmp_path / "out")
        (facts, heard), (same, again) = plain(source), plain(tmp_path / "out")
        assert facts == same
        before, after = read(source)[0], read(tmp_path / "out")[0]
        assert before.shape == after.shape == (writer.samples, channels)
        assert (reader.damage, writer.notes) == (None, ())
    if samples > 9000:
        assert alike(heard, again) > 0.98


@pytest.mark.parametrize(
    ("codec", "packed", "rate", "becomes"),
    [("ac3", "flt", 48000, "opus"), ("ac3", "flt", 44100, "flac"), ("mp2", "s16", 48000, "opus")],
)
def test_sound_that_matroska_has_to_have_coded_otherwise_keeps_rate_and_length(tmp_path, codec, packed, rate, becomes):
    for samples in (1, 147_200):
        source = make(tmp_path / "in", "matroska", codec, rate, 2, samples=samples, packed=packed)
        _, reader, writer = copy(source, tmp_path / "out")
        (before, heard), (after, again) = plain(source), plain(tmp_path / "out")
        assert (after["codec"], after["rate"]) == (becomes, rate)
        assert after["samples"] == before["samples"] == reader.samples == writer.samples
        assert writer.notes == (f"sound_recoded_as_{becomes}",)
    assert alike(heard, again) > 0.98


def alike(one, other):
    """The least correlation of a channel of one sound with the same channel of the other, away from their ends."""
    one, other = one[2048:-2048], other[2048:-2048]
    return min(float(np.corrcoef(one[:, c], other[:, c])[0, 1]) for c in range(one.shape[1]))


@pytest.mark.parametrize("samples", [5000, 12345, 20_480])
@pytest.mark.parametrize("lead", [64, 1088])
def test_aac_with_a_longer_beginning_of_its_encoder_keeps_its_length(tmp_path, samples, lead):
    wave = np.concatenate([np.zeros((lead, 1), np.float32), noise(samples, 1, 44100)])
    muxing = {"movie_timescale": "44100"}
    source = make(tmp_path / "in", "ipod", "aac", 44100, wave=wave, packed="flt", muxing=muxing, lead=lead)
    _, reader, _ = copy(source, tmp_path / "out")
    assert reader.samples == samples == len(read(tmp_path / "out")[0])
    (facts, heard), (same, again) = plain(source), plain(tmp_path / "out")
    assert facts == same
    assert alike(heard, again) > 0.98


def test_blocks_are_half_a_second_whatever_the_file_holds_at_a_time(tmp_path):
    source = make(tmp_path / "a.flac", "flac", "flac", 16000, samples=40_000, packed="s16")
    with open_audio(source, probe_audio(source, LIMITS)) as reader:
        lengths = [len(block) for block in reader]
    assert lengths == [8000] * 5


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 50))
def test_blocks_joined_are_the_whole(lengths, size):
    whole = np.arange(sum(lengths) * 2, dtype=np.float32).reshape(-1, 2)
    pieces = np.split(whole, np.cumsum(lengths)[:-1]) if lengths else []
    blocks = list(in_blocks(pieces, size))
    assert all(len(block) == size for block in blocks[:-1])
    assert all(0 < len(block) <= size for block in blocks)
    np.testing.assert_array_equal(np.concatenate([np.empty((0, 2)), *blocks]), whole)


@settings(max_examples=30)
@given(st.sampled_from([("u8", 8), ("s16", 16), ("s32", 24)]), st.lists(st.integers(-(2**23), 2**23 - 1), min_size=1))
def test_whole_numbers_survive_the_way_there_and_back(kind, numbers):
    name, bits = kind
    stored = np.array(numbers) >> (24 - bits)
    block = (stored / 2.0 ** (bits - 1)).astype(np.float32)[:, None]
    again, whole = from_frame(to_frame(block, name, bits, "mono", 16000, 0))
    assert whole
    np.testing.assert_array_equal(again, block)


def test_whole_numbers_clip_where_a_sample_is_out_of_range():
    block = np.array([[-3], [-1], [1], [3]], np.float32)
    frame = to_frame(block, "s16", 16, "mono", 16000, 0)
    np.testing.assert_array_equal(frame.to_ndarray()[0], [-32768, -32768, 32767, 32767])


TAGS = {"title": "Interview with Alice", "artist": "Alice Example", "comment": "at the clinic"}


@pytest.mark.parametrize(
    ("muxer", "codec", "rate", "cover", "chapters"),
    [
        ("wav", "pcm_s16le", 16000, False, False),
        ("flac", "flac", 16000, True, False),
        ("mp3", "libmp3lame", 16000, True, True),
        ("mp4", "aac", 16000, True, True),
        ("ogg", "libopus", 48000, False, True),
        ("matroska", "flac", 16000, False, True),
    ],
)
def test_metadata_cover_and_chapters_are_gone(tmp_path, muxer, codec, rate, cover, chapters):
    packed = "flt" if codec in ("aac", "libmp3lame", "libopus") else "s16"
    source = make(
        tmp_path / "in", muxer, codec, rate, packed=packed, metadata=TAGS, cover=cover, chapters=chapters
    )  # fmt: skip
    assert b"Alice" in source.read_bytes()
    _, reader, _ = copy(source, tmp_path / "out")
    assert b"Alice" not in (tmp_path / "out").read_bytes()
    assert "metadata_dropped" in reader.notes
    assert ("cover_dropped" in reader.notes) == cover
    assert ("chapters_dropped" in reader.notes) == chapters
    with av.open(str(tmp_path / "out")) as target:
        assert [stream.type for stream in target.streams] == ["audio"]
        assert not target.chapters()
        assert not set(TAGS) & {*target.metadata, *target.streams[0].metadata}
    assert plain(source)[0]["samples"] == plain(tmp_path / "out")[0]["samples"]


LIST = b"LIST" + struct.pack("<I", 4) + b"adtl"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (riff(WAVE, data_bytes=WAVE.nbytes // 2), True),
        (riff(WAVE, behind=riff(WAVE)), True),
        (riff(WAVE, behind=LIST + b"a secret"), True),
        (riff(WAVE, behind=LIST + b"id3 " + struct.pack("<I", 3) + b"ID3\0"), False),
        (riff(WAVE.view(np.uint8)[:-1], behind=b"\0" + LIST), False),
        (riff(WAVE, data_bytes=0xFFFFFFFF), False),
        (riff(WAVE, data_bytes=0), False),
    ],
    ids=["half", "two recordings", "text", "chunks", "padded", "stream", "stream of size 0"],
)
def test_what_follows_the_samples_of_a_wav_is_left_out_and_a_note_says_so(tmp_path, data, told):
    (tmp_path / "in").write_bytes(data)
    _, reader, _ = copy(tmp_path / "in", tmp_path / "out")
    assert ("trailing_data_dropped" in reader.notes) == told
    assert read(tmp_path / "out")[1].notes == ()


@pytest.mark.parametrize(
    ("muxer", "codec", "rate"),
    [("flac", "flac", 16000), ("mp4", "aac", 16000), ("ogg", "libopus", 48000), ("matroska", "flac", 16000)],
)
def test_what_a_container_writes_by_itself_is_no_metadata(tmp_path, muxer, codec, rate):
    packed = "s16" if codec == "flac" else "flt"
    _, reader, _ = copy(make(tmp_path / "in", muxer, codec, rate, packed=packed), tmp_path / "out")
    assert reader.notes == ()


@pytest.mark.parametrize(
    ("muxer", "codec", "muxing"),
    [
        ("webm", "libopus", {"live": "1"}),
        ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "100000"}),
        ("ipod", "aac", {"movflags": "dash+delay_moov", "frag_duration": "100000"}),
    ],
)
def test_what_was_written_on_the_fly_is_read_whole(tmp_path, muxer, codec, muxing):
    source = make(tmp_path / "in", muxer, codec, 48000, packed="flt", samples=50_000, muxing=muxing)
    _, reader, _ = copy(source, tmp_path / "out")
    assert reader.damage is None
    assert reader.samples == plain(source)[0]["samples"] == plain(tmp_path / "out")[0]["samples"]


BROADCAST = b"bext" + struct.pack("<I", 602) + b"Alice".ljust(602, b"\0")
LONG = b"ds64" + struct.pack("<IQQQI", 28, 0, 40_000, 20_000, 0)


@pytest.mark.parametrize(
    "data",
    [
        riff(WAVE, before=BROADCAST),
        riff(WAVE, behind=LIST),
        riff(WAVE, data_bytes=0xFFFFFFFF),
        riff(WAVE, form=b"RF64", before=LONG, data_bytes=0xFFFFFFFF),
    ],
    ids=["broadcast", "chunk-behind", "of-unknown-length", "of-64-bits"],
)
def test_wav_of_every_build_is_read_whole_and_written_plain(tmp_path, data):
    source = tmp_path / "in.wav"
    source.write_bytes(data)
    _, reader, writer = copy(source, tmp_path / "out.wav")
    assert (reader.damage, writer.notes) == (None, ())
    np.testing.assert_array_equal(read(tmp_path / "out.wav")[0][:, 0], WAVE / np.float32(32768))
    assert b"Alice" not in (tmp_path / "out.wav").read_bytes()


def test_vorbis_becomes_opus_of_the_same_length_and_place(tmp_path):
    source = make(tmp_path / "in.ogg", "ogg", "vorbis", 44100, 2, samples=44100, options={"strict": "-2"}, packed="flt")
    _, reader, writer = copy(source, tmp_path / "out.ogg")
    assert writer.notes == ("sound_recoded_as_opus", "rate_changed_to_48000")
    (_, heard), (facts, again) = plain(source), plain(tmp_path / "out.ogg")
    assert (facts["codec"], facts["rate"], facts["channels"]) == ("opus", 48000, 2)
    assert len(again) == -(-reader.samples * 48000 // 44100)
    at = np.arange(len(again)) * 44100 / 48000
    moved = np.stack([np.interp(at, np.arange(len(heard)), heard[:, c]) for c in range(2)], axis=1)
    assert alike(moved, again) > 0.98


def test_other_codecs_become_what_the_container_holds_best(tmp_path):
    source = make(tmp_path / "in.wav", "wav", "adpcm_ima_wav", 16000, packed="s16")
    _, _, writer = copy(source, tmp_path / "out.wav")
    assert writer.notes == ("sound_recoded_as_pcm_s16le",)
    np.testing.assert_array_equal(plain(source)[1], plain(tmp_path / "out.wav")[1])


@pytest.mark.parametrize("bits", [32_000, 256_000])
@pytest.mark.parametrize(("muxer", "codec"), [("mp3", "libmp3lame"), ("adts", "aac")])
def test_the_bit_rate_is_not_below_that_of_the_source(tmp_path, muxer, codec, bits):
    source = make(
        tmp_path / "in", muxer, codec, 44100, 2, samples=60_000, packed="flt", options={"b": str(bits)}
    )  # fmt: skip
    copy(source, tmp_path / "out")
    assert (tmp_path / "out").stat().st_size > 0.9 * source.stat().st_size


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_number_become_silence(tmp_path, value):
    wave = noise(9000, 1, 16000).copy()
    wave[5000] = value
    source = make(tmp_path / "in.wav", "wav", "pcm_f32le", wave=wave)
    samples, reader = read(source)
    assert reader.notes == ("samples_that_are_no_number_silenced",)
    wave[5000] = 0
    np.testing.assert_array_equal(samples, wave)


def test_loud_and_shifted_sound_stays_in_range(tmp_path):
    wave = noise(9000, 1, 16000) * 2 + 1
    source = make(tmp_path / "in.wav", "wav", "pcm_f32le", wave=wave)
    samples, reader = read(source)
    assert reader.notes == ("samples_out_of_range_clipped",)
    np.testing.assert_array_equal(samples, np.clip(wave, -1, 1))


def test_nothing_is_left_behind_where_the_work_ends_early(tmp_path):
    source = make(tmp_path / "in.wav", "wav", "pcm_s16le")
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "masked.wav"
    target.write_bytes(b"before")
    probe = probe_audio(source, LIMITS)
    with AudioWriter(target, probe) as writer:
        writer.write(np.zeros((100, 1), np.float32))
    assert [path.name for path in target.parent.iterdir()] == ["masked.wav"]
    assert target.read_bytes() == b"before"


def test_what_cannot_be_written_says_so(tmp_path):
    source = make(tmp_path / "in.wav", "wav", "pcm_s16le")
    probe = probe_audio(source, LIMITS)
    with pytest.raises(StorageError):
        AudioWriter(tmp_path / "missing" / "out.wav", probe)
    with AudioWriter(tmp_path / "out.wav", probe) as writer:
        with pytest.raises(ValueError, match="channels"):
            writer.write(np.zeros((100, 2), np.float32))
        with pytest.raises(ValueError, match="number"):
            writer.write(np.full((100, 1), np.nan, np.float32))
        with pytest.raises(DamagedMedia):
            writer.commit()
    assert not (tmp_path / "out.wav").exists()
