"""How many coefficients of a JPEG change outside the MCUs that a mask touches, told by another reader than ours.

`python -m benchmarks.kept`
"""

import tempfile
from pathlib import Path

import jpeglib
import numpy as np
from numpy.typing import NDArray

from benchmarks.real import photos
from masking.face.cover import cover
from masking.face.loading import load_model
from masking.face.search import search
from masking.media.decoded import Note
from masking.media.image import decode, encode_with_notes, views
from masking.media.jpeg_blocks import cells_of
from masking.media.jpeg_segments import read_frame, walk
from masking.media.probe import ImageLimits, probe
from mlops.registry.bundle import current
from mlops.settings import load_settings

THRESHOLD = 0.2
LIMITS = ImageLimits(bytes=1 << 28, pixels=1 << 28, side=1 << 16)


def main() -> None:
    """Print how many photos keep their blocks, and how many coefficients outside the masks differ."""
    settings = load_settings().registry
    bundle = current(settings.bundles_path, settings.model)
    if bundle is None:
        raise SystemExit("no model is installed: run `make run` first")
    detector = load_model(bundle).detector
    recoded = compared = changed = touched_mcus = mcus = 0
    real = photos()
    with tempfile.TemporaryDirectory() as folder:
        for photo in real:
            still = decode(photo.data, probe(photo.data, LIMITS))
            faces = search(views(still.pixels)[0], detector, THRESHOLD, "thorough")
            masked, touched = cover(still.pixels, faces, "solid", [0] * len(faces))
            written, notes = encode_with_notes(still, masked, touched)
            if Note.WHOLE_PICTURE_RECODED in notes:
                recoded += 1
                continue
            frame = read_frame(photo.data, walk(photo.data))
            cells = cells_of(touched, frame)
            touched_mcus += len(cells)
            before, after = (coefficients(data, Path(folder) / "photo.jpg") for data in (photo.data, written))
            for plane, other, component in zip(before, after, frame.components, strict=True):
                h, v = component.sampling if len(frame.components) > 1 else (1, 1)
                kept = np.ones((-(-plane.shape[0] // v), -(-plane.shape[1] // h)), bool)
                kept[tuple(cells.T)] = False
                blocks = np.repeat(np.repeat(kept, v, axis=0), h, axis=1)[: plane.shape[0], : plane.shape[1]]
                compared += int(blocks.sum()) * 64
                changed += int((plane[blocks] != other[blocks]).sum())
                if component is frame.components[0]:
                    mcus += kept.size
    print(f"{len(real)} photos, solid, thorough: {recoded} had to be coded anew as a whole")
    print(f"the others: {touched_mcus / mcus:.3f} of the MCUs are touched by a mask")
    print(f"coefficients outside the touched MCUs: {compared} compared, {changed} changed")


def coefficients(data: bytes, path: Path) -> list[NDArray[np.int16]]:
    """Read the blocks of each component, (rows, columns, 8, 8) int16, by way of jpeglib's own reader."""
    path.write_bytes(data)
    read = jpeglib.read_dct(str(path))
    return [np.asarray(plane) for plane in (read.Y, read.Cb, read.Cr) if plane is not None]


if __name__ == "__main__":
    main()
