"""Draws docs/images/styles.jpg: procedural people as they are, and in each style, masked with `data/model`."""

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.face.detectors.centerface import CenterFace
from masking.face.maskers import MASKERS
from masking.face.procedural import Capture, Identity, portrait
from masking.media.probe import ImageLimits
from masking.onnx import open_session
from masking.pipeline import mask_image
from masking.policy import KEY_BYTES, Policy

OUT = Path("docs/images/styles.jpg")
MODEL = Path("data/model/int8.onnx")
SEED, PEOPLE, SIDE_PX, QUALITY = 4, 2, 200, 88
KEY = bytes([5]) * KEY_BYTES
GAP_PX, LABEL_PX, WHITE, BLACK = 6, 22, 255, (0, 0, 0)
LIMITS = ImageLimits(bytes=2**24, pixels=2**22, side=4096)


def style_sheet(detector: CenterFace) -> NDArray[np.uint8]:
    """Draw portraits beside themselves in every style, with their names below: (h, w, 3) uint8 RGB."""
    rng = np.random.default_rng(SEED)
    drawn = [portrait(Identity.draw(rng), Capture.draw(rng), SIDE_PX).pixels for _ in range(PEOPLE)]
    pixels = np.vstack(drawn)
    png = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
    shown = {"original": pixels} | {style: _masked(png, style, detector) for style in MASKERS}
    panels = [_labelled(each, name) for name, each in shown.items()]
    gap = np.full((panels[0].shape[0], GAP_PX, 3), WHITE, np.uint8)
    return np.hstack([part for panel in panels for part in (panel, gap)][:-1])


def _masked(png: bytes, style: str, detector: CenterFace) -> NDArray[np.uint8]:
    # A fixed key: the picture is the same whenever it is drawn.
    masked = mask_image(png, Policy(style, key=KEY), detector, LIMITS).data
    decoded = cv2.imdecode(np.frombuffer(masked, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("the masked scene cannot be decoded")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def _labelled(pixels: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    label = np.full((LABEL_PX, pixels.shape[1], 3), WHITE, np.uint8)
    cv2.putText(label, name, (2, LABEL_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.55, BLACK, 1, cv2.LINE_AA)
    return np.vstack([pixels, label])


def main() -> None:
    """Write the picture."""
    OUT.parent.mkdir(parents=True, exist_ok=True)
    drawn = style_sheet(CenterFace(open_session(MODEL)))
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    OUT.write_bytes(cv2.imencode(".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), quality)[1].tobytes())
    sys.stderr.write(f"style_sheet: {OUT}, {OUT.stat().st_size // 1024} KiB\n")


if __name__ == "__main__":
    main()
