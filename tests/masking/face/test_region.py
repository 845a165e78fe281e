import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from masking.face.region import regions
from masking.types import Faces

WIDTH, HEIGHT = 120, 90


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    x1, y1 = draw(st.floats(0, WIDTH - 1)), draw(st.floats(0, HEIGHT - 1))
    return x1, y1, draw(st.floats(x1 + 1, WIDTH + 1)), draw(st.floats(y1 + 1, HEIGHT + 1))


def faces(*rows: tuple[float, float, float, float]) -> Faces:
    n = len(rows)
    return Faces(np.array(rows, np.float32).reshape(n, 4), np.ones(n, np.float32), np.zeros((n, 5, 2), np.float32))


@given(boxes())
def test_a_region_lies_in_the_picture_and_covers_its_box(box: tuple[float, float, float, float]) -> None:
    (region,) = regions(faces(box), WIDTH, HEIGHT)
    assert region.inside.shape == (region.rows.stop - region.rows.start, region.columns.stop - region.columns.start)
    assert 0 <= region.rows.start < region.rows.stop <= HEIGHT
    assert 0 <= region.columns.start < region.columns.stop <= WIDTH
    covered = np.zeros((HEIGHT, WIDTH), bool)
    covered[region.rows, region.columns] = region.inside
    x1, y1, x2, y2 = box
    whole = covered[int(np.ceil(y1)) : int(y2), int(np.ceil(x1)) : int(x2)]
    assert whole.all()


def test_no_face_no_region() -> None:
    assert list(regions(Faces.none(), WIDTH, HEIGHT)) == []
