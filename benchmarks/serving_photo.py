"""A photo of 640x480, and what a bare loop makes of it: decode, detect, mask and encode, without any server."""

import threading
import time
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from matplotlib import get_data_path

from masking.face.loading import LoadedModel, load_model
from masking.media.probe import ImageLimits
from masking.pipeline import mask_image
from masking.policy import Policy
from mlops.registry.bundle import Bundle

WIDTH, HEIGHT = 640, 480
QUALITY: Final = 90
LIMITS: Final = ImageLimits(bytes=1 << 25, pixels=1 << 24, side=1 << 14)


def photo() -> bytes:
    """Return a portrait that matplotlib ships, as a JPEG of 640x480."""

    whole = cv2.imread(str(Path(get_data_path()) / "sample_data/grace_hopper.jpg"))
    if whole is None:
        raise RuntimeError("matplotlib ships no photo any more")
    scale = max(WIDTH / whole.shape[1], HEIGHT / whole.shape[0])
    large = cv2.resize(whole, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:HEIGHT, :WIDTH]
    return bytes(np.asarray(cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]).tobytes())


def bare_photos_per_second(bundle: Bundle, data: bytes, threads: int, seconds: float) -> float:
    """Return how many photos so many threads mask in a second, one after the other in each."""
    cv2.setNumThreads(1)
    model = load_model(bundle, threads=1)
    counts = [0] * threads
    start = time.perf_counter()
    workers = [threading.Thread(target=_work, args=(model, data, start + seconds, counts, n)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - start)


def _work(model: LoadedModel, data: bytes, until: float, counts: list[int], place: int) -> None:
    policy = Policy("solid", 0.2, "fast")
    while time.perf_counter() < until:
        mask_image(data, policy, model.detector, LIMITS, maskers=model.maskers)
        counts[place] += 1
