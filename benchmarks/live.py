"""Live masking through the real server: how long a frame takes until it is answered, and how many a second.

`python -m benchmarks.live`, with the MP4 files of the folder `clips` in MASKER_REAL_DATA as JPEG frames of two sizes.
"""

import json
import time
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import simplejpeg
from websockets.sync.client import connect

from benchmarks.clips import clips, pictures
from benchmarks.photo import cpu_of, start_server, wait_ready

PORT: Final = 8610
SIZES: Final = ((640, 360), (1280, 720))
FRAMES: Final = 150
WARM: Final = 5


def main() -> None:
    """Print p50 and p95 of the latency, frames per second, CPU and black frames, by size of the frames."""
    made = {size: jpegs(size) for size in SIZES}
    server = start_server(PORT)
    try:
        precision = wait_ready(PORT)
        print(f"{FRAMES} frames a size, one after the other, {precision}")
        for size, frames in made.items():
            before = cpu_of(server.pid)
            started = time.perf_counter()
            milliseconds, black = stream(frames)
            took = time.perf_counter() - started
            used = 1000 * (cpu_of(server.pid) - before) / len(frames)
            p50, p95 = np.percentile(milliseconds[WARM:], (50, 95))
            told = (
                f"{size[0]}x{size[1]}: p50 {p50:.1f} ms   p95 {p95:.1f} ms   {len(frames) / took:.1f} frames a second"
            )
            print(f"  {told}   CPU {used:.1f} ms a frame   {black} black frames", flush=True)
    finally:
        server.terminate()
        server.wait()


def jpegs(size: tuple[int, int]) -> list[bytes]:
    """Give the first frames of the last clip as JPEG files of a size."""
    made = []
    for picture in pictures(clips()[-1]):
        sized = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        made.append(bytes(simplejpeg.encode_jpeg(sized, 85, "RGB", "420")))
        if len(made) == FRAMES:
            break
    return made


def stream(frames: Sequence[bytes]) -> tuple[list[float], int]:
    """Send frame by frame; gives the milliseconds of each, and how many were answered with a black one."""
    milliseconds, black = [], 0
    with connect(f"ws://127.0.0.1:{PORT}/v1/live", max_size=None) as socket:
        for frame in frames:
            started = time.perf_counter()
            socket.send(frame)
            told = json.loads(socket.recv())
            socket.recv()
            milliseconds.append(1000 * (time.perf_counter() - started))
            black += bool(told["fault"])
    return milliseconds, black


if __name__ == "__main__":
    main()
