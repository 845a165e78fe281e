"""Small sound files of every kind, and what another program hears in them."""

import struct
from fractions import Fraction
from functools import cache

import av
import numpy as np
from av.stream import Disposition

from masking.media.audio import AudioLimits, AudioWriter, open_audio, probe_audio

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


WAVE = (noise(20_000, 1, 16000)[:, 0] * 32767).astype(np.int16)
