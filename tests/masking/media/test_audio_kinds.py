import av
import numpy as np
import pytest

from masking.errors import UnsupportedMedia
from masking.media.audio import is_audio, probe_audio, sniff_audio
from masking.media.video import sniff_video
from tests.masking.media.sounds import LIMITS, as_frame, copy, make, noise, plain, read


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


def test_a_tag_longer_than_any_head_hides_nothing(tmp_path):
    source = make(tmp_path / "in.flac", "flac", "flac", packed="s16")
    tag = b"ID3\x04\0\0" + bytes([0, 0, 100, 0]) + bytes(100 << 7)
    source.write_bytes(tag + source.read_bytes())
    assert probe_audio(source, LIMITS).container == "flac"
    assert len(read(source)[0]) == 12345
