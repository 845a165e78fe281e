"""Draws docs/images/before-after.jpg: a procedural scene, and what `data/model` makes of it in the default style."""

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.face.detectors.centerface import CenterFace
from masking.face.procedural import Identity, mosaic
from masking.media.probe import ImageLimits
from masking.onnx import open_session
from masking.pipeline import mask_image
from masking.policy import Policy

OUT = Path("docs/images/before-after.jpg")
MODEL = Path("data/model/int8.onnx")
SEED, PEOPLE, SCENES, FACES, SCENE_PX, QUALITY = 3, 12, 40, 4, (560, 380), 88
LIMITS = ImageLimits(bytes=2**24, pixels=2**22, side=4096)


def before_after(detector: CenterFace) -> NDArray[np.uint8]:
    """Draw a plain scene with several people, left as it is and right masked: (h, w, 3) uint8 RGB."""
    rng = np.random.default_rng(SEED)
    people = [Identity.draw(rng) for _ in range(PEOPLE)]
    drawn = [mosaic(rng, people, SCENE_PX) for _ in range(SCENES)]
    several = [scene for scene in drawn if scene.condition == "plain" and len(scene.faces) >= FACES]
    # The one whose largest face is smallest shows most of what is left as it was.
    chosen = min(several, key=lambda scene: max(float(np.prod(face.box[2:] - face.box[:2])) for face in scene.faces))
    before = chosen.pixels
    png = cv2.imencode(".png", cv2.cvtColor(before, cv2.COLOR_RGB2BGR))[1].tobytes()
    masked = mask_image(png, Policy(), detector, LIMITS).data
    decoded = cv2.imdecode(np.frombuffer(masked, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("the masked scene cannot be decoded")
    after = np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
    gap = np.full((before.shape[0], 8, 3), 255, np.uint8)
    return np.hstack([before, gap, after])


def main() -> None:
    """Write the picture."""
    OUT.parent.mkdir(parents=True, exist_ok=True)
    drawn = before_after(CenterFace(open_session(MODEL)))
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    OUT.write_bytes(cv2.imencode(".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), quality)[1].tobytes())
    sys.stderr.write(f"before_after: {OUT}, {OUT.stat().st_size // 1024} KiB\n")


if __name__ == "__main__":
    main()
