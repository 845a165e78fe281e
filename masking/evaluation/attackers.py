"""Attackers who try to tell whose face a crop shows, from whatever the mask leaves of it and around it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Image = NDArray[np.uint8]

SIDE_PX = 64
PIXELS_PX = 24
CELL_PX = 8
ORIENTATIONS = 9
BLOCK_FLOOR = 100.0
TEXTURE_CELL_PX = 16
VARIANCE_KEPT = 0.995
AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))

# Where the five landmarks lie in an aligned face, as shares of its side: the 112 px template of ArcFace
# (Deng et al., CVPR 2019).
TEMPLATE = (
    np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]) / 112
)
# What a square shows, in sides of the template: the features alone, the whole face, hair and surroundings too.
FEATURES, FACE, WIDE = 0.8, 1.1, 2.2

FACE_AND_WIDE = ("face pixels", "face gradients", "face texture", "wide pixels")
WIDE_ALONE = ("wide pixels", "wide gradients")

Evidence = Mapping[str, Floats]
"""All captures as an attacker describes them: for each kind of description (n, d), row i for capture i.

Rows are principal components over all captures: the attacker holds the probes too, only their names he lacks.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Who plays which part in one trial; all but ``person`` are indices of captures.

    Attributes:
        person: (n,) number of the person in each capture.
        background: captures of people whom the attacker knows, none of whom he looks for.
        gallery: captures, with names, of the people he looks for.
        probes: captures of the same people that he shall name.
    """

    person: Indices
    background: Indices
    gallery: Indices
    probes: Indices


Attacker = Callable[[Evidence, Split], Floats]
"""Gives the likeness (probes, people of the gallery in ascending number) of each probe to each person."""


def examine(crops: Sequence[Image], landmarks: NDArray[np.float32]) -> Evidence:
    """Describe crops (h, w, 3), aligned by their landmarks (n, 5, 2) in pixels of the crop."""
    features, face, wide = (align(crops, landmarks, view) for view in (FEATURES, FACE, WIDE))
    described = {
        "face pixels": _pixels(features),
        "face gradients": _gradients(features),
        "face texture": _texture(face),
        "wide pixels": _pixels(wide),
        "wide gradients": _gradients(wide),
    }
    return {name: _principal(_balanced(rows)) for name, rows in described.items()}


def align(crops: Sequence[Image], landmarks: NDArray[np.float32], view: float) -> Image:
    """Turn, scale and shift every crop so that its landmarks lie on the template: (n, 64, 64, 3).

    The similarity transform is the least-squares one (Umeyama, PAMI 13, 1991), in the plane a linear regression
    of complex numbers. ``view`` is the side of the square in sides of the template. Beyond the crop its edge is
    repeated, so that the outline of the crop itself says little.

    Raises:
        ValueError: five landmarks lie in one point.
    """
    places = ((TEMPLATE - 0.5) / view + 0.5) * SIDE_PX
    aligned = np.empty((len(crops), SIDE_PX, SIDE_PX, 3), np.uint8)
    for index, (crop, points) in enumerate(zip(crops, landmarks, strict=True)):
        matrix = similarity(points, places)
        if matrix is None:
            raise ValueError(f"the landmarks of crop {index} lie in one point")
        scale = float(np.hypot(*matrix[:, 0]))
        # Shrinking takes one sample in many: without a low-pass filter the samples between would alias.
        smooth = cv2.GaussianBlur(crop, (0, 0), 0.4 / scale) if scale < 0.5 else crop
        aligned[index] = cv2.warpAffine(smooth, matrix, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REPLICATE)
    return aligned


def similarity(points: NDArray[np.float32], places: Floats) -> Floats | None:
    """Turn, scale and shift (2, 3) that takes points (n, 2) nearest to places (n, 2); None if all points are one."""
    source, target = (each.astype(np.float64) @ np.array([1, 1j]) for each in (points, places))
    spread = source - source.mean()
    extent = float(np.sum(np.abs(spread) ** 2))
    if extent == 0:
        return None
    turn = np.sum(np.conj(spread) * (target - target.mean())) / extent
    shift = target.mean() - turn * source.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def cut_to_face(crops: Sequence[Image], landmarks: NDArray[np.float32]) -> tuple[Image, NDArray[np.float32]]:
    """Cut crops to what face recognisers are fed, the template's own square: (n, 64, 64, 3), with (n, 5, 2) landmarks.

    What is left says nothing of clothes, scene and most of the hair, nor of the outline of a mask larger than the
    face: who is given no more can only use what the mask itself leaves.
    """
    points = (TEMPLATE * SIDE_PX).astype(np.float32)
    return align(crops, landmarks, 1.0), np.repeat(points[None], len(crops), axis=0)


def nearest_pixels(evidence: Evidence, split: Split) -> Floats:
    """Compare pixels alone: a person is as like a probe as the nearest capture of that person."""
    pixels = evidence["face pixels"]
    probes, gallery = pixels[split.probes], pixels[split.gallery]
    squares = np.sum(probes**2, axis=1)[:, None] + np.sum(gallery**2, axis=1)[None, :] - 2 * probes @ gallery.T
    people, owner = np.unique(split.person[split.gallery], return_inverse=True)
    return -np.stack([squares[:, owner == index].min(axis=1) for index in range(len(people))], axis=1)


def semi_informed(evidence: Evidence, split: Split) -> Floats:
    """Learn from masked captures of the background what differs within a person, and weigh it down.

    Within-class covariance normalisation (Hatch et al., Interspeech 2006): discriminant analysis that keeps every
    dimension, since the few people of the background span too few.
    """
    return _fused(evidence, split, FACE_AND_WIDE, split.background, cut=False)


def fisherfaces(evidence: Evidence, split: Split) -> Floats:
    """Learn from background and gallery, all masked alike, what tells people apart.

    Principal components, then linear discriminants, then the cosine to each person's captures (Fisherfaces,
    Belhumeur, Hespanha and Kriegman, PAMI 19, 1997). The attacker owns his gallery, so he trains on it too.
    """
    return _fused(evidence, split, FACE_AND_WIDE, np.concatenate([split.background, split.gallery]), cut=True)


def surroundings(evidence: Evidence, split: Split) -> Floats:
    """Do the same with the wide view alone: hair, neck, clothes, scene, and the outline of the mask itself."""
    return _fused(evidence, split, WIDE_ALONE, np.concatenate([split.background, split.gallery]), cut=True)


ATTACKERS: Mapping[str, Attacker] = {
    "pixels": nearest_pixels,
    "semi-informed": semi_informed,
    "fisherfaces": fisherfaces,
    "surroundings": surroundings,
}


def _fused(evidence: Evidence, split: Split, kinds: Sequence[str], known: Indices, *, cut: bool) -> Floats:
    """Mean over kinds of description and gallery captures of the cosine in the space learned from ``known``."""
    cosines = []
    for kind in kinds:
        rows = evidence[kind]
        mean, projection = _discriminant(rows[known], split.person[known], cut=cut)
        placed = _unit((rows - mean) @ projection)
        cosines.append(placed[split.probes] @ placed[split.gallery].T)
    likeness = np.mean(cosines, axis=0)
    people, owner = np.unique(split.person[split.gallery], return_inverse=True)
    return np.stack([likeness[:, owner == index].mean(axis=1) for index in range(len(people))], axis=1)


def _discriminant(rows: Floats, person: Indices, *, cut: bool, shrinkage: float = 0.05) -> tuple[Floats, Floats]:
    """Mean (d,) and projection (d, k) that make differences within a person round and of length 1.

    ``cut`` keeps only the dimensions in which people differ; ``shrinkage`` mixes the covariance within a person with
    a sphere, since there are fewer captures than dimensions.
    """
    people, owner = np.unique(person, return_inverse=True)
    centres = np.stack([rows[owner == index].mean(axis=0) for index in range(len(people))])
    residual = rows - centres[owner]
    dimensions = rows.shape[1]
    within = residual.T @ residual / max(len(rows) - len(people), 1)
    sphere = np.trace(within) / max(dimensions, 1) * np.eye(dimensions)
    values, vectors = np.linalg.eigh((1 - shrinkage) * within + shrinkage * sphere)
    projection = vectors / np.sqrt(np.maximum(values, 1e-12))
    if cut:
        _, _, directions = np.linalg.svd((centres - centres.mean(axis=0)) @ projection, full_matrices=False)
        projection = projection @ directions[: len(people) - 1].T
    return rows.mean(axis=0), projection


def _unit(rows: Floats) -> Floats:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-9)
    return unit


def _pixels(aligned: Image) -> Floats:
    """Small colour images, each with the brightness and contrast of its light taken out."""
    small = np.stack([cv2.resize(face, (PIXELS_PX, PIXELS_PX), interpolation=cv2.INTER_AREA) for face in aligned])
    values = small.reshape(len(aligned), -1).astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    values /= values.std(axis=1, keepdims=True) + 1e-3
    return values


def _gradients(aligned: Image) -> Floats:
    """Histograms of oriented gradients with block normalisation (Dalal and Triggs, CVPR 2005)."""
    # The square root makes a gradient depend less on the light that falls on it.
    grey = np.sqrt(aligned.mean(axis=3, dtype=np.float32))
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    strength = np.hypot(across, down)
    angle = np.arctan2(down, across) % np.pi / np.pi * ORIENTATIONS
    cells = SIDE_PX // CELL_PX
    pool = np.repeat(np.eye(cells, dtype=np.float32), CELL_PX, axis=0)
    histogram = np.empty((len(aligned), cells, cells, ORIENTATIONS), np.float64)
    for orientation in range(ORIENTATIONS):
        away = np.abs(angle - orientation)
        votes = strength * np.maximum(1 - np.minimum(away, ORIENTATIONS - away), 0)
        histogram[..., orientation] = pool.T @ votes @ pool
    corners = [histogram[:, i : cells - 1 + i, j : cells - 1 + j] for i in (0, 1) for j in (0, 1)]
    blocks = np.concatenate(corners, axis=3)
    # The floor keeps a block of noise from being stretched to the strength of an edge.
    blocks /= np.sqrt(np.sum(blocks**2, axis=3, keepdims=True) + BLOCK_FLOOR)
    return blocks.reshape(len(aligned), -1)


def _texture(aligned: Image) -> Floats:
    """Histograms of uniform local binary patterns (Ahonen, Hadid and Pietikainen, PAMI 28, 2006)."""
    grey = aligned.mean(axis=3, dtype=np.float32)
    middle = grey[:, 1:-1, 1:-1]
    code = np.zeros(middle.shape, np.uint8)
    for bit, (row, column) in enumerate(AROUND):
        # Two grey levels of difference at least: noise alone would draw patterns in flat areas.
        near = grey[:, 1 + row : SIDE_PX - 1 + row, 1 + column : SIDE_PX - 1 + column]
        code |= (near > middle + 2).astype(np.uint8) << np.uint8(bit)
    pattern = np.pad(_uniform_patterns()[code], ((0, 0), (1, 1), (1, 1)), mode="edge")
    cells = SIDE_PX // TEXTURE_CELL_PX
    area = (len(aligned), cells, TEXTURE_CELL_PX, cells, TEXTURE_CELL_PX)
    of_cell = pattern.reshape(area).swapaxes(2, 3).reshape(len(aligned) * cells**2, -1)
    bins = int(pattern.max()) + 1
    place = np.arange(len(of_cell))[:, None] * bins + of_cell
    counts = np.bincount(place.ravel(), minlength=len(of_cell) * bins)
    # The Euclidean distance of square roots is the Hellinger distance of the histograms.
    roots: Floats = np.sqrt(counts.reshape(len(aligned), -1) / TEXTURE_CELL_PX**2)
    return roots


def _uniform_patterns() -> Indices:
    """Number of each 8-bit pattern: its own if it changes at most twice around the circle, else one for all others."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    uniform = np.sum(bits != np.roll(bits, 1, axis=1), axis=1) <= 2
    return np.where(uniform, np.cumsum(uniform) - 1, np.sum(uniform))


def _balanced(block: Floats) -> Floats:
    """Centre a description and give it unit spread; one that never varies becomes zero."""
    # Taken from the first row before the mean, equal rows become exact zeros and not rounding errors.
    centred = block - block[0]
    centred -= centred.mean(axis=0)
    spread = float(np.sqrt(np.mean(np.sum(centred**2, axis=1))))
    return centred / spread if spread > 1e-6 else np.zeros_like(centred)


def _principal(rows: Floats) -> Floats:
    """Coordinates (n, d) of centred rows along the principal components that hold 99.5 % of their variance."""
    values, vectors = np.linalg.eigh(rows @ rows.T)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    kept = np.cumsum(values) - values < VARIANCE_KEPT * values.sum()
    coordinates: Floats = vectors[:, kept] * np.sqrt(values[kept])
    return coordinates
