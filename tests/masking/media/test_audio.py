import struct
from fractions import Fraction
from functools import cache

import av
import numpy as np
import pytest
from av.stream import Disposition
from hypothesis import given, settings
from hypothesis import strategies as st

from masking.errors import DamagedMedia, EmptyMedia, MediaTooLarge, StorageError, UnsupportedMedia
from masking.media.audio import AudioLimits, AudioWriter, is_audio, open_audio, probe_audio, sniff_audio
from masking.media.audio_reader import in_blocks
from masking.media.audio_samples import from_frame, to_frame
from masking.media.video import sniff_video

LIMITS = AudioLimits(bytes=20_000_000, seconds=60)
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
SUFFIX = {"adts": "aac", "ipod": "m4a", "matroska": "mkv"}
PACKED = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}


@cache
def noise(samples, channels, rate):
    """Noise below 2 kHz, another one in each channel: a shift by one sample or a swap of channels shows."""
    random = np.random.default_rng(samples + channels)
    white = np.fft.rfft(random.standard_normal((samples, channels)), axis=0)
    white[np.fft.rfftfreq(samples, 1 / rate) > 2000] = 0
    wave = np.fft.irfft(white, samples, axis=0) if samples > 1 else np.full((1, channels), 0.1)
    return (0.3 * wave / max(np.abs(wave).max(), 1e-9)).astype(np.float32)


def make(
    path, muxer, codec, rate=16000, channels=1, wave=None, samples=12345, packed=None, options=None, muxing=None,
    metadata=None, cover=False, chapters=False, layout=None, lead=0,
):  # fmt: skip
    """Write a sound file; nothing of it is made by what is tested."""
    wave = noise(samples, channels, rate) if wave is None else wave
    layout = layout or LAYOUTS[channels]
    with av.open(str(path), "w", format=muxer, container_options=muxing or {}) as target:
        target.metadata.update(metadata or {})
        stream = target.add_stream(codec, rate=rate, options=options or {})
        context = stream.codec_context
        context.layout, context.time_base = layout, Fraction(1, rate)
        offered = [one.name for one in context.codec.audio_formats]
        packed = packed or offered[0].removesuffix("p")
        context.format = next(name for name in offered if name.removesuffix("p") == packed)
        if codec in ("aac", "libmp3lame", "libopus"):
            context.bit_rate = 96_000 * channels
        picture = target.add_stream("mjpeg", rate=1) if cover else None
        if picture is not None:
            picture.codec_context.width = picture.codec_context.height = 32
            picture.codec_context.pix_fmt = "yuvj420p"
            picture.disposition = Disposition.attached_pic
        if chapters:
            target.set_chapters([{"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {}}])
        context.open()
        if picture is not None:
            target.mux(picture.encode(av.VideoFrame.from_ndarray(np.full((48, 32), 77, np.uint8), "yuvj420p")))
        step = context.frame_size or 1000
        for start in range(0, len(wave), step):
            target.mux(stream.encode(as_frame(wave[start : start + step], packed, layout, rate, start - lead)))
        target.mux(stream.encode(None))
    return path


def as_frame(wave, packed, layout, rate, start):
    kind = PACKED[packed]
    if packed == "u8":
        wave = np.rint(wave * 127) + 128
    elif packed in ("s16", "s32"):
        wave = np.rint(wave.astype(np.float64) * (np.iinfo(kind).max - 255))
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave, kind).reshape(1, -1), packed, layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
    return frame


def plain(path):
    """Decode as any program would: facts of the stream, and (n, channels) samples."""
    with av.open(str(path)) as source:
        stream = source.streams.audio[0]
        packer = av.AudioResampler("flt")
        frames, columns = list(source.decode(stream)), []
        for frame in frames:
            for part in packer.resample(frame):
                columns.append(part.to_ndarray().reshape(-1, frame.layout.nb_channels))
        first = frames[0]
        facts = {
            "codec": stream.codec_context.codec.canonical_name,
            "format": first.format.name,
            "rate": first.sample_rate,
            "channels": first.layout.nb_channels,
            "layout": first.layout.name,
            "samples": sum(frame.samples for frame in frames),
            "container": source.format.name,
        }
    return facts, np.concatenate(columns)


def read(path, limits=LIMITS):
    probe = probe_audio(path, limits)
    with open_audio(path, probe) as reader:
        blocks = list(reader)
    return np.concatenate(blocks), reader


def copy(source, target, change=None, limits=LIMITS):
    """Read and write a sound; return the probe, the reader and the writer."""
    probe = probe_audio(source, limits)
    with open_audio(source, probe) as reader, AudioWriter(target, probe) as writer:
        for block in reader:
            writer.write(change(block) if change else block)
        writer.commit()
    return probe, reader, writer


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


def riff(wave, *, form=b"RIFF", data_bytes=None, before=b"", behind=b"", rate=16000, tag=1, channels=1):
    """Write a WAV by hand: what muxers do not write."""
    order = ">" if form == b"RIFX" else "<"
    body = wave.astype(wave.dtype.newbyteorder(order)).tobytes()
    width = wave.dtype.itemsize
    head = struct.pack(
        f"{order}4sIHHIIHH", b"fmt ", 16, tag, channels, rate, rate * width * channels, width * channels, width * 8
    )  # fmt: skip
    size = len(body) if data_bytes is None else data_bytes
    rest = before + head + b"data" + struct.pack(f"{order}I", size) + body + behind
    return form + struct.pack(f"{order}I", min(len(rest) + 4, 2**32 - 1)) + b"WAVE" + rest


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


WAVE = (noise(20_000, 1, 16000)[:, 0] * 32767).astype(np.int16)
BROADCAST = b"bext" + struct.pack("<I", 602) + b"Alice".ljust(602, b"\0")
LONG = b"ds64" + struct.pack("<IQQQI", 28, 0, 40_000, 20_000, 0)


@pytest.mark.parametrize(
    "data",
    [
        riff(WAVE, before=BROADCAST),
        riff(WAVE, behind=b"LIST" + struct.pack("<I", 4) + b"adtl"),
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


def video(path, muxer="mp4", sound=True):
    with av.open(str(path), "w", format=muxer) as target:
        pictures = target.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        pictures.codec_context.width, pictures.codec_context.height = 64, 48
        voice = target.add_stream("aac", rate=16000, layout="mono") if sound else None
        for number in range(5):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 99, np.uint8))
            picture.pts = number
            target.mux(pictures.encode(picture))
        target.mux(pictures.encode(None))
        if voice is not None:
            target.mux(voice.encode(as_frame(noise(3000, 1, 16000), "flt", "mono", 16000, 0)))
            target.mux(voice.encode(None))
    return path


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


def test_pictures_make_it_a_video(tmp_path):
    source = video(tmp_path / "clip.mp4")
    assert not is_audio(source)
    with pytest.raises(UnsupportedMedia, match="as a video"):
        probe_audio(source, LIMITS)
    with pytest.raises(UnsupportedMedia, match="as a video"):
        probe_audio(video(tmp_path / "silent.mkv", "matroska", sound=False), LIMITS)


def test_a_film_container_without_pictures_is_sound(tmp_path):
    for muxer, codec in [("mp4", "aac"), ("mov", "aac"), ("matroska", "libopus"), ("webm", "libopus")]:
        source = make(tmp_path / "in", muxer, codec, 48000, packed="flt")
        assert is_audio(source)
        assert not sniff_audio(source.read_bytes()[:64])
        copy(source, tmp_path / "out")
        assert plain(tmp_path / "out")[0]["samples"] == plain(source)[0]["samples"]


@pytest.mark.parametrize(
    ("muxer", "codec", "media_type"),
    [
        ("wav", "pcm_s16le", "audio/wav"),
        ("flac", "flac", "audio/flac"),
        ("mp3", "libmp3lame", "audio/mpeg"),
        ("adts", "aac", "audio/aac"),
        ("ipod", "aac", "audio/mp4"),
        ("ogg", "libopus", "audio/ogg"),
    ],
)
def test_kinds_are_known_by_their_first_bytes(tmp_path, muxer, codec, media_type):
    source = make(tmp_path / "a.txt", muxer, codec, 48000, packed="s16" if codec in ("flac", "pcm_s16le") else "flt")
    head = source.read_bytes()[:64]
    assert sniff_audio(head)
    assert is_audio(source)
    assert sniff_video(head) == (muxer == "ipod")  # which is why sound is asked for first
    assert probe_audio(source, LIMITS).media_type == media_type


@pytest.mark.parametrize(("muxer", "codec"), [("mp3", "libmp3lame"), ("adts", "aac")])
def test_a_stream_that_was_cut_anywhere_is_known_by_its_next_frames(tmp_path, muxer, codec):
    source = make(tmp_path / "in", muxer, codec, packed="flt", samples=30_000)
    source.write_bytes(source.read_bytes()[1000:])
    samples, reader = read(source)
    assert 25_000 < len(samples) < 31_000
    assert reader.damage is None
    copy(source, tmp_path / "out")
    assert len(read(tmp_path / "out")[0]) == len(samples)


def test_a_tag_longer_than_any_head_hides_nothing(tmp_path):
    source = make(tmp_path / "in.flac", "flac", "flac", packed="s16")
    tag = b"ID3\x04\0\0" + bytes([0, 0, 100, 0]) + bytes(100 << 7)
    source.write_bytes(tag + source.read_bytes())
    assert probe_audio(source, LIMITS).container == "flac"
    assert len(read(source)[0]) == 12345


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
