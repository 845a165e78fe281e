"""Real clips from the folder that MASKER_REAL_DATA names, and what is made of them here, in a folder for the while."""

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from mlops.settings import load_settings

FULL_HD: Final = (1920, 1080)
FINE: Final = {"preset": "veryfast", "crf": "18"}


def clips() -> list[Path]:
    """List the MP4 files of `clips`; without a folder the program ends, loudly."""
    folder = load_settings().real_data
    if folder is None:
        sys.stderr.write("BENCHMARK SKIPPED: MASKER_REAL_DATA names no folder of real clips\n")
        raise SystemExit(0)
    return sorted((folder / "clips").glob("*.mp4"))


def pictures(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a clip as (h, w, 3) uint8 RGB."""
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a clip."""
    with av.open(str(path)) as file:
        context = file.streams.video[0].codec_context
        return context.width, context.height


def remade(source: Path, target: Path, size: tuple[int, int], frames: int | None = None, every: int = 1) -> Path:
    """Write a clip again at another size: its first frames alone if so many are told, and of them one in ``every``."""
    with av.open(str(source)) as file, av.open(str(target), "w") as out:
        shown = file.streams.video[0]
        stream = out.add_stream("libx264", rate=shown.average_rate, options=FINE)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index, frame in enumerate(file.decode(shown)):
            if index == frames:
                break
            if index % every:
                continue
            sized = frame.reformat(*size, "yuv420p", interpolation="LANCZOS")
            sized.pts, sized.time_base = frame.pts, frame.time_base
            sized.pict_type = 0
            out.mux(stream.encode(sized))
        out.mux(stream.encode())
    return target


def looped(source: Path, target: Path, seconds: float) -> Path:
    """Repeat a clip without coding it again until it lasts that long."""
    with av.open(str(target), "w") as out:
        begin, stream = Fraction(0), None
        while begin < seconds:
            with av.open(str(source)) as file:
                shown = file.streams.video[0]
                stream = stream or out.add_stream_from_template(shown)
                unit, end = shown.time_base or Fraction(1, 1000), 0
                shift = round(begin / unit)
                for packet in file.demux(shown):
                    if packet.pts is None or packet.dts is None or begin + packet.pts * unit >= seconds:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    out.mux(packet)
                begin += max(end * unit, Fraction(1, 25))
    return target
