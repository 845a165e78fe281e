"""Draws docs/images/contact-sheet.png: what procedural faces and scenes look like, boxes included."""

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from masking.face.procedural import Capture, Identity, mosaic, portrait

OUT = Path("docs/images/contact-sheet.png")
SEED = 7
PEOPLE, CAPTURES, SIDE_PX = 10, 4, 96
SCENE_PX = (480, 360)
_COLOURS = 200


def contact_sheet(seed: int = SEED) -> NDArray[np.uint8]:
    """Draw people in columns, their captures in rows, and two scenes below: (h, w, 3) uint8 RGB."""
    rng = np.random.default_rng(seed)
    people = [Identity.draw(rng) for _ in range(PEOPLE)]
    columns = [[portrait(who, Capture.draw(rng), SIDE_PX).pixels for _ in range(CAPTURES)] for who in people]
    faces = np.hstack([np.vstack(column) for column in columns])
    drawn = (mosaic(rng, people, SCENE_PX) for _ in range(10))
    crowded = sorted(drawn, key=lambda scene: (scene.condition != "plain", -len(scene.faces)))
    scenes = np.hstack([_marked(scene.pixels, [face.box for face in scene.faces]) for scene in crowded[:2]])
    return np.vstack([faces, scenes])


def _marked(pixels: NDArray[np.uint8], boxes: list[NDArray[np.float32]]) -> NDArray[np.uint8]:
    marked = pixels.copy()
    for box in boxes:
        x1, y1, x2, y2 = (int(v) for v in np.round(box))
        cv2.rectangle(marked, (x1, y1), (x2, y2), (255, 220, 0), 1)
    return marked


def main() -> None:
    """Write the sheet with a palette, which keeps it small."""
    OUT.parent.mkdir(parents=True, exist_ok=True)
    sheet = Image.fromarray(contact_sheet()).quantize(_COLOURS, dither=Image.Dither.NONE)
    sheet.save(OUT, optimize=True)
    sys.stderr.write(f"contact_sheet: {OUT}, {OUT.stat().st_size // 1024} KiB\n")


if __name__ == "__main__":
    main()
