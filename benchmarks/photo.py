"""Our HTTP answers, thorough and fast, against decode + model + encode in one process, and against deface 1.5.

The same photos, one after the other.

`python -m benchmarks.photo`. deface is installed into an environment of its own under var/benchmarks.
"""

import http.client
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from benchmarks.faces import upright
from benchmarks.peer import python
from benchmarks.real import photos
from masking.face.detectors import DETECTORS, Detector
from masking.onnx import open_session
from mlops.registry.bundle import current
from mlops.settings import load_settings

ROUNDS = 3
THRESHOLD = 0.2
PEER_SCRIPT = """
import sys, time, imageio.v2 as iio
from pathlib import Path
from deface.centerface import CenterFace
from deface.deface import anonymize_frame
files = [Path(line) for line in sys.stdin.read().split()]
detector = CenterFace(in_shape=None, backend="onnxrt")
detector(iio.imread(files[0]), threshold=0.2)
wall, cpu = time.perf_counter(), time.process_time()
for file in files:
    frame = iio.imread(file)
    dets, _ = detector(frame, threshold=0.2)
    anonymize_frame(dets, frame, mask_scale=1.3, replacewith="solid", ellipse=True, draw_scores=False,
                    replaceimg=None, mosaicsize=20)
    iio.imsave(file.with_suffix(".masked.jpg"), frame)
print("FIGURES", time.perf_counter() - wall, time.process_time() - cpu)
"""


def main() -> None:
    """Print wall and CPU seconds of each way, best of the rounds, and the ratios."""
    settings = load_settings()
    bundle = current(settings.registry.bundles_path, settings.registry.model)
    if bundle is None:
        raise SystemExit("no model is installed: run `make run` first")
    data = [photo.data for photo in photos()]
    port = 8600
    server = start_server(port)
    try:
        precision = wait_ready(port)
        raw_detector = DETECTORS[bundle.architecture](open_session(bundle.graphs[precision]))
        ways: dict[str, Callable[[], tuple[float, float]]] = {
            "thorough": lambda: over_http(data, port, server.pid, "thorough"),
            "fast": lambda: over_http(data, port, server.pid, "fast"),
            "raw": lambda: timed(lambda: raw(data, raw_detector)),
            "deface": lambda: peer(data),
        }
        best: dict[str, tuple[float, float]] = {}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                figures = way()
                best[name] = min(best.get(name, figures), figures)
    finally:
        server.terminate()
        server.wait()
    print(f"{len(data)} photos, one after the other, {precision}, version {bundle.version}; best of {ROUNDS} rounds")
    for name, (wall, cpu) in best.items():
        print(f"{name:8} wall {1000 * wall / len(data):7.1f} ms a photo   CPU {1000 * cpu / len(data):7.1f} ms a photo")
    for ours in ("thorough", "fast"):
        for name in ("raw", "deface"):
            wall, cpu = (best[ours][kind] / best[name][kind] for kind in (0, 1))
            print(f"HTTP {ours} / {name}: wall {wall:.2f}   CPU {cpu:.2f}")


def start_server(port: int) -> subprocess.Popen[bytes]:
    """Start the data plane alone, without its cache, as it would run in a container."""
    settings = {"SERVER__PORT": str(port), "CACHE__MEMORY_BYTES": "0", "LOGGING__LEVEL": "ERROR"}
    environment = {**os.environ, **{f"MASKER_{name}": value for name, value in settings.items()}}
    return subprocess.Popen([sys.executable, "-m", "services.serving"], env=environment)


def wait_ready(port: int) -> str:
    """Wait until the server is ready; gives the precision that serves."""
    for _ in range(300):
        time.sleep(0.1)
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            body = answer.read()
        except OSError:
            continue
        if answer.status == 200:
            return str(json.loads(body)["precision"])
    raise SystemExit("the server did not become ready")


def over_http(data: Sequence[bytes], port: int, pid: int, search: str) -> tuple[float, float]:
    """Send every photo over one connection; wall seconds, and CPU seconds of the server."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    wall, cpu = time.perf_counter(), cpu_of(pid)
    for photo in data:
        connection.request(
            "POST", f"/v1/mask/image?threshold={THRESHOLD}&search={search}", photo, {"Content-Type": "image/jpeg"}
        )
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"a photo was answered with {answer.status}")
    return time.perf_counter() - wall, cpu_of(pid) - cpu


def cpu_of(pid: int) -> float:
    """Read user and system seconds of a process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def raw(data: Sequence[bytes], detector: Detector) -> None:
    """Decode, detect, paint plain boxes and encode: the least that any service must do."""
    for photo in data:
        picture = upright(photo)
        for x1, y1, x2, y2 in detector(picture, THRESHOLD).boxes.astype(int):
            picture[y1:y2, x1:x2] = 0
        cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Give wall and CPU seconds of some work in this process."""
    cv2.setNumThreads(1)
    wall, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter() - wall, after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime


def peer(data: Sequence[bytes]) -> tuple[float, float]:
    """Mask every photo with deface's own functions in one process; loading it is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{index}.jpg" for index in range(len(data))]
        for file, photo in zip(files, data, strict=True):
            file.write_bytes(photo)
        listed = "\n".join(map(str, files))
        done = subprocess.run([python(), "-c", PEER_SCRIPT], input=listed, text=True, capture_output=True, check=True)
    figures = next(line for line in done.stdout.splitlines() if line.startswith("FIGURES")).split()
    return float(figures[1]), float(figures[2])


if __name__ == "__main__":
    main()
