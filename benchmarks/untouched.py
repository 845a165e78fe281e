"""A video of which most groups of pictures have no face: all of it coded anew, and those groups copied.

`python -m benchmarks.untouched [--decoder NAME=COMMAND]...` needs no real media. A COMMAND decodes a byte stream of
H.264, the file {source}, to planes of 8 bits, the file {target}: whether it gives each frame that FFmpeg gives is told.
"""

import argparse
import shlex
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import av
import cv2
import numpy as np
from av.bitstream import BitStreamFilterContext
from numpy.typing import NDArray

from benchmarks.video import LIMITS, detector, timed
from masking.face.procedural.backdrop import backdrop
from masking.face.procedural.clip import clip
from masking.face.procedural.identity import Identity
from masking.policy import UNTOUCHED, VideoPolicy
from masking.report import MaskReport
from masking.video import mask_video

SIZES: Final = ((640, 360), (1280, 720))
RATE, SECONDS, PEOPLE = 25, 8, (3, 4)
NOISE: Final = 2.0
ROUNDS: Final = 3
OPTIONS: Final = {"preset": "veryfast", "crf": "20", "bf": "0", "g": str(RATE), "sc_threshold": "0"}


def main() -> None:
    """Print both ways at both sizes, and what the decoders say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decoder", action="append", default=[], metavar="NAME=COMMAND", help="may be repeated")
    wish = parser.parse_args()
    cv2.setNumThreads(1)
    with TemporaryDirectory() as folder:
        for size in SIZES:
            source = film(size, Path(folder) / "source.mp4")
            joint = compare(source, Path(folder))
            for told in wish.decoder:
                name, command = told.split("=", 1)
                print(f"  {name}: {alike(command, joint, Path(folder))}", flush=True)


def film(size: tuple[int, int], path: Path) -> Path:
    """Write people in a few seconds of a pan over a wall, as a phone films: a group a second, no frame out of order."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options=OPTIONS)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number, pixels in enumerate(shots(size)):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def shots(size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames, with the noise of a camera."""
    rng = np.random.default_rng(7)
    wall = backdrop(rng, (2 * size[0], size[1]))
    people = [Identity.draw(rng) for _ in range(3)]
    first, last = (RATE * second for second in PEOPLE)
    noise = rng.normal(0, NOISE, (2 * size[1], 2 * size[0], 1)).astype(np.float32)
    with_people = clip(rng, people, size=size, shots=1, frames=last - first)
    for number in range(RATE * SECONDS):
        left = number * size[0] // (RATE * SECONDS)
        plain = next(with_people).pixels if first <= number < last else wall[:, left : left + size[0]]
        down, across = (int(rng.integers(0, side)) for side in (size[1], size[0]))
        grains = noise[down : down + size[1], across : across + size[0]]
        yield np.clip(np.rint(plain + grains), 0, 255).astype(np.uint8)


def compare(source: Path, folder: Path) -> Path:
    """Time both ways in turn, print the best of the rounds, and give what the second wrote."""
    found = detector()
    best: dict[str, tuple[float, float]] = {}
    reports: dict[str, MaskReport] = {}
    for _ in range(ROUNDS):
        for way in UNTOUCHED:

            def work(way: str = way) -> None:
                target = folder / f"{way}.mp4"
                reports[way] = mask_video(source, target, VideoPolicy(untouched=way), found, LIMITS)

            took = timed(work)
            best[way] = tuple(map(min, took, best.get(way, took)))  # type: ignore[assignment]
    told = reports["copy"]
    print(f"{told.width}x{told.height}, {told.frames} frames, {told.copied} copied; best of {ROUNDS} rounds")
    for way, (wall, cpu) in best.items():
        size = (folder / f"{way}.mp4").stat().st_size / source.stat().st_size
        speed = f"{told.frames / wall:7.1f} frames a second   CPU {1000 * cpu / told.frames:6.1f} ms a frame"
        print(f"  {way:5} {speed}   {size:.2f} of the bytes of the source")
    (wall, cpu), (wall_copy, cpu_copy) = best["code"], best["copy"]
    print(f"  copy / code: frames a second {wall / wall_copy:.2f}   by CPU {cpu / cpu_copy:.2f}", flush=True)
    return folder / "copy.mp4"


def alike(command: str, video: Path, folder: Path) -> str:
    """Tell how many frames another decoder gives as FFmpeg does."""
    stream, planes = folder / "joint.264", folder / "joint.yuv"
    with av.open(str(video)) as file:
        shown = file.streams.video[0]
        expected = [digest(frame.to_ndarray(format="yuv420p").tobytes()) for frame in file.decode(shown)]
        size = shown.width * shown.height * 3 // 2
    stream.write_bytes(byte_stream(video))
    planes.unlink(missing_ok=True)
    filled = [part.format(source=stream, target=planes) for part in shlex.split(command)]
    subprocess.run(filled, check=True, capture_output=True)
    with planes.open("rb") as file:
        given = [digest(data) for data in iter(lambda: file.read(size), b"")]
    same = sum(one == other for one, other in zip(expected, given, strict=False))
    return f"{len(given)} frames of {len(expected)}, {same} as FFmpeg gives them"


def byte_stream(video: Path) -> bytes:
    """Give the stream of a file as players hand it to a decoder: by FFmpeg's own filter."""
    with av.open(str(video)) as file:
        shown = file.streams.video[0]
        convert = BitStreamFilterContext("h264_mp4toannexb", shown)
        return b"".join(bytes(made) for packet in file.demux(shown) if packet.size for made in convert.filter(packet))


def digest(data: bytes) -> bytes:
    """Give something short that is another for another frame."""
    return sha256(data).digest()


if __name__ == "__main__":
    main()
