"""Masking a video against decode + encode alone and against deface 1.5: speed, what stays open, and memory.

`python -m benchmarks.video [--long] [--only speed|leak|memory] [--clip NAME]`, with the MP4 files of the folder `clips`
in MASKER_REAL_DATA, each as it is and, where it is smaller, made 1080p.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from benchmarks import peer
from benchmarks.clips import FULL_HD, clips, looped, pictures, remade, size_of
from benchmarks.faces import BASE, Published
from masking.evaluation.leak import leak, reference_tracks
from masking.face.detectors import Detector
from masking.face.loading import load_model
from masking.face.region import regions
from masking.face.search import search
from masking.media.video import VideoLimits, open_video, probe_video
from masking.media.video_codec import coding
from masking.policy import VideoPolicy
from masking.types import Faces
from masking.video import detect_video, mask_video
from mlops.registry.bundle import current
from mlops.settings import load_settings

ROUNDS: Final = 3
PEER_PIXELS: Final = 12_000_000
"""Pixels that the peer gets to see in a round; each frame costs it the same."""
LIMITS: Final = VideoLimits(bytes=1 << 34, pixels=64_000_000, side=16384, seconds=36_000)
REFERENCE_SCORES: Final = (0.2, 0.3, 0.5)
MEMORY_EVERY: Final = 6
"""One frame in so many of a clip is in the videos whose memory is measured: what is held is counted in frames."""
SHORT_SECONDS, USUAL_SECONDS, LONG_SECONDS = 10, 60, 600


def main() -> None:
    """Print each part that was asked for, clip by clip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help=f"memory over {LONG_SECONDS} s, not {USUAL_SECONDS} s")
    parser.add_argument("--only", choices=("speed", "leak", "memory"), help="one part alone")
    parser.add_argument("--clip", default="", help="only clips whose name holds this")
    parser.add_argument("--mask", nargs=2, type=Path, help=argparse.SUPPRESS)
    wish = parser.parse_args()
    cv2.setNumThreads(1)
    if wish.mask:
        mask_video(wish.mask[0], wish.mask[1], VideoPolicy(), detector(), LIMITS)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    chosen = [clip for clip in clips() if wish.clip in clip.name]
    parts = {"speed": speed, "leak": leaks}
    with TemporaryDirectory() as folder:
        for part in ("speed", "leak"):
            for clip in chosen if wish.only in (None, part) else ():
                parts[part](clip, Path(folder))
        if wish.only in (None, "memory"):
            memory(chosen[-1], Path(folder), LONG_SECONDS if wish.long else USUAL_SECONDS)


def detector() -> Detector:
    """Open the champion as the worker does."""
    settings = load_settings().registry
    bundle = current(settings.bundles_path, settings.model)
    if bundle is None:
        raise SystemExit("no model is installed: run `make run` first")
    return load_model(bundle).detector


def speed(clip: Path, folder: Path) -> None:
    """Frames per second and CPU of the limit, of ours and of the peer, in turn, best of the rounds."""
    compare(clip, folder)
    if is_small(size_of(clip)):
        compare(remade(clip, folder / f"1080p_{clip.name}", FULL_HD), folder)


def is_small(size: tuple[int, int]) -> bool:
    """Whether a clip is measured at 1080p as well: it is smaller, and not upright."""
    return size[0] * size[1] < FULL_HD[0] * FULL_HD[1] and size[0] > size[1]


def compare(clip: Path, folder: Path) -> None:
    """Time every way over one file; the peer gets the first frames of it."""
    width, height = size_of(clip)
    few = remade(clip, folder / "few.mp4", (width, height), max(10, PEER_PIXELS // (width * height)))
    found, target = detector(), folder / "masked.mp4"
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "limit": lambda: timed(lambda: recode(clip, target)),
        "ours": lambda: timed(lambda: mask_video(clip, target, VideoPolicy(), found, LIMITS)),
        "deface": lambda: peer.mask_video(few, target),
    }
    counts: dict[str, int] = {}
    wall: dict[str, float] = {}
    cpu: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            took, used = way()
            frames = sum(1 for _ in pictures(target))
            wall[name] = min(wall.get(name, took / frames), took / frames)
            cpu[name] = min(cpu.get(name, used / frames), used / frames)
            counts[name] = frames
    told = f"{counts['ours']} frames ({counts['deface']} for deface), solid; best of {ROUNDS} rounds"
    print(f"{width}x{height}, {told}")
    for name in ways:
        print(f"  {name:7} {1 / wall[name]:7.1f} frames a second   CPU {1000 * cpu[name]:7.1f} ms a frame")
    for name in ("deface", "limit"):
        told = f"frames a second {wall[name] / wall['ours']:.2f}   by CPU {cpu[name] / cpu['ours']:.2f}"
        print(f"  ours / {name}: {told}", flush=True)


def recode(source: Path, target: Path) -> None:
    """Decode and encode with the settings of the masked video and nothing in between: the least that there is to do."""
    probe = probe_video(source, LIMITS)
    chosen = coding(probe)
    with open_video(source, probe) as reader, av.open(str(target), "w") as out:
        added = out.add_stream(chosen.encoder, rate=probe.fps or 25, options=chosen.options, time_base=reader.time_base)
        stream = cast(VideoStream, added)
        stream.width, stream.height, stream.pix_fmt = *probe.stored_size, chosen.layout.name
        stream.codec_context.thread_count = 0
        for frame in reader:
            out.mux(stream.encode(frame.picture))
        out.mux(stream.encode())


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Give wall and CPU seconds of some work in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def leaks(clip: Path, folder: Path) -> None:
    """Open face-frames of ours and of the peer, and of ours where the clip is made 1080p.

    Two references look at every frame of the clip as it is: the published network, and our own thorough search.
    """
    size, found, network = size_of(clip), detector(), Published(BASE)
    least = min(REFERENCE_SCORES)
    references = {
        "published network": [network(picture, least) for picture in pictures(clip)],
        "thorough search": [search(picture, found, least, "thorough") for picture in pictures(clip)],
    }
    ways = {"ours": (size, ours(clip, size, found)), "deface": (size, packed(peer.covers(pictures(clip), *size)))}
    if is_small(size):
        large = remade(clip, folder / f"1080p_{clip.name}", FULL_HD)
        ways["ours at 1080p"] = FULL_HD, ours(large, FULL_HD, found)
    print(f"{size[0]}x{size[1]}, {len(references['published network'])} frames")
    for name, (shown, masks) in ways.items():
        share = float(np.mean([mask.mean() for mask in unpacked(masks, shown[0])]))
        print(f"  {name:13} covers {100 * share:.1f} % of the pixels")
    for reference, seen in references.items():
        print(f"  against the {reference} on every frame")
        for score in REFERENCE_SCORES:
            for name, (shown, masks) in ways.items():
                if len(masks) != len(seen):
                    raise SystemExit(f"{name} saw {len(masks)} frames, the reference {len(seen)}")
                by = np.tile(np.divide(shown, size), 2).astype(np.float32)
                sure = [faces[faces.scores >= score] for faces in seen]
                tracks = reference_tracks([replace(faces, boxes=faces.boxes * by) for faces in sure])
                told = leak(tracks, unpacked(masks, shown[0]))
                print(
                    f"    from score {score}: {name:13} {told.open:5} of {told.face_frames} face-frames open"
                    f"   ({told.half_open} half open; {told.brief_open} of {told.brief_face_frames} in brief tracks)",
                    flush=True,
                )


def ours(clip: Path, size: tuple[int, int], found: Detector) -> list[NDArray[np.uint8]]:
    """Give what the masks of each frame cover, packed."""
    return packed(covered(faces, *size) for _, faces, _ in detect_video(clip, VideoPolicy(), found, LIMITS))


def packed(masks: Iterable[NDArray[np.bool_]]) -> list[NDArray[np.uint8]]:
    """Pack (h, w) masks into bits."""
    return [np.packbits(mask, axis=1) for mask in masks]


def unpacked(masks: Iterable[NDArray[np.uint8]], width: int) -> Iterator[NDArray[np.bool_]]:
    """Yield masks that were packed, one after the other."""
    return (np.unpackbits(mask, axis=1)[:, :width].astype(bool) for mask in masks)


def covered(faces: Faces, width: int, height: int) -> NDArray[np.bool_]:
    """Give the pixels (h, w) that the masks of some faces cover."""
    mask = np.zeros((height, width), bool)
    for region in regions(faces, width, height):
        mask[region.rows, region.columns] |= region.inside
    return mask


def memory(clip: Path, folder: Path, seconds: int) -> None:
    """Peak memory of masking a short and a long 1080p video with few frames a second, each in a process of its own."""
    full = remade(clip, folder / "full.mp4", FULL_HD, every=MEMORY_EVERY)
    peaks = []
    for length in (SHORT_SECONDS, seconds):
        source = looped(full, folder / f"{length}.mp4", length)
        child = [sys.executable, "-m", "benchmarks.video", "--mask", str(source), str(folder / "masked.mp4")]
        done = subprocess.run(child, text=True, capture_output=True, check=True)
        peaks.append(int(done.stdout) / 1024)
        print(f"1080p, {length} s ({sum(1 for _ in pictures(source))} frames): peak {peaks[-1]:.0f} MiB", flush=True)
    print(f"  long / short: {peaks[1] / peaks[0]:.2f}", flush=True)


if __name__ == "__main__":
    main()
