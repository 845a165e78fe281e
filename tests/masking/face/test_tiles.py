from itertools import pairwise

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from masking.face import tiles
from masking.face.detectors.centerface import CenterFace
from masking.types import Faces


@given(st.integers(1, 20_000))
def test_tiles_cover_a_side_and_overlap(side: int) -> None:
    begins = list(tiles.starts(side))
    assert begins[0] == 0
    assert begins[-1] + tiles.TILE_PX >= side
    for one, following in pairwise(begins):
        assert one + tiles.TILE_PX - following >= tiles.OVERLAP_PX - 1
        assert following + tiles.TILE_PX <= side


def test_a_large_picture_gives_its_small_and_its_large_faces(detector: CenterFace, hopper: bytes) -> None:
    face = cv2.cvtColor(cv2.imdecode(np.frombuffer(hopper, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    picture = np.full((3000, 4000, 3), 90, np.uint8)
    small = cv2.resize(face, None, fx=0.12, fy=0.12, interpolation=cv2.INTER_AREA)
    large = cv2.resize(face, None, fx=4, fy=4)
    picture[200 : 200 + len(large), 100 : 100 + large.shape[1]] = large
    spots = [(150, 3000), (1450, 2900), (2700, 3700)]
    for row, column in spots:
        picture[row : row + len(small), column : column + small.shape[1]] = small
    found = tiles.detect(picture, detector, 0.3)

    scale, shift = (4, (100, 200)), [(0.12, (column, row)) for row, column in spots]
    (x1, y1, x2, y2), *_ = detector(face, 0.3).boxes
    for factor, (left, top) in (scale, *shift):
        centre = np.array([(x1 + x2) / 2 * factor + left, (y1 + y2) / 2 * factor + top])
        hit = (found.boxes[:, :2] < centre).all(axis=1) & (found.boxes[:, 2:] > centre).all(axis=1)
        sizes = (found.boxes[hit, 2] - found.boxes[hit, 0]) / ((x2 - x1) * factor)
        assert ((sizes > 0.7) & (sizes < 1.5)).sum() == 1


def test_merging_nothing_gives_nothing() -> None:
    assert len(tiles.merge([Faces.none(), Faces.none()])) == 0
