"""Rows become the same array, or the same error, whichever way is the quicker."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.generic.tensors import FREE, NAMES, Array, BadInput, Tensor
from services.serving.generic.arrays import as_array, packed

COLUMNS = 3
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = {"f": FLOATS, "i": st.integers(-(2**64), 2**65), "u": st.integers(-(2**64), 2**65), "b": st.booleans()}


def by_packing(rows: list[Any], tensor: Tensor) -> Array:
    return as_array(packed(rows, tensor), tensor)


def outcome(make: Any, rows: list[Any], tensor: Tensor) -> Array | str:
    try:
        return np.asarray(make(rows, tensor))
    except BadInput as error:
        return str(error)


@settings(max_examples=300, deadline=None)
@given(datatype=st.sampled_from(sorted(NAMES)), data=st.data())
def test_rows_are_as_numpy_reads_them(datatype: str, data: st.DataObject) -> None:
    tensor = Tensor("x", datatype, (FREE, COLUMNS))
    values = VALUES[tensor.dtype.kind]
    small = values.filter(lambda value: abs(value) < 100) if tensor.dtype.kind != "b" else values
    row = st.lists(st.one_of(small, values), min_size=COLUMNS - data.draw(st.integers(0, 1)), max_size=COLUMNS)
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    quick, wanted = outcome(by_packing, rows, tensor), outcome(as_array, rows, tensor)
    if isinstance(wanted, str) or isinstance(quick, str):
        assert quick == wanted
    else:
        assert quick.dtype == wanted.dtype
        np.testing.assert_array_equal(quick, wanted)


@pytest.mark.parametrize("shape", [(FREE,), (2, 2), (FREE, FREE), (FREE, 2, 1)])
def test_other_shapes_are_left_to_numpy(shape: tuple[int, ...]) -> None:
    rows: list[Any] = [1.0, 2.0] if len(shape) == 1 else [[1.0, 2.0], [3.0, 4.0]]
    if len(shape) == 3:
        rows = [[[1.0], [2.0]]]
    tensor = Tensor("x", "FP32", shape)
    np.testing.assert_array_equal(by_packing(rows, tensor), as_array(rows, tensor))
