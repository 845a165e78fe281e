"""Real photos with hand-drawn boxes, from the folder that MASKER_REAL_DATA names; never part of the project."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlops.settings import load_settings


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A photo's bytes, and its labelled faces as (n, 4) float32 boxes in pixels."""

    data: bytes
    boxes: NDArray[np.float32]


def photos() -> list[Photo]:
    """Read `photos/boxes.json` and the files of `photos/images`; without a folder the program ends, loudly."""
    folder = load_settings().real_data
    if folder is None:
        sys.stderr.write("BENCHMARK SKIPPED: MASKER_REAL_DATA names no folder of real photos\n")
        raise SystemExit(0)
    return list(_read(folder / "photos"))


def _read(folder: Path) -> Iterator[Photo]:
    labels = json.loads((folder / "boxes.json").read_text(encoding="utf-8"))
    for name, label in sorted(labels.items()):
        boxes = np.array(label["boxes"], np.float32).reshape(-1, 4)
        yield Photo((folder / "images" / name).read_bytes(), boxes)
