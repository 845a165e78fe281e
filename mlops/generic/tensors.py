"""Tensors as three worlds name them: the Open Inference Protocol, NumPy (and so MLflow's signatures), and ONNX."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
FREE: Final = -1
"""A dimension of any size."""
NAMES: Final = {
    "BOOL": ("bool", "tensor(bool)"),
    "UINT8": ("uint8", "tensor(uint8)"),
    "UINT16": ("uint16", "tensor(uint16)"),
    "UINT32": ("uint32", "tensor(uint32)"),
    "UINT64": ("uint64", "tensor(uint64)"),
    "INT8": ("int8", "tensor(int8)"),
    "INT16": ("int16", "tensor(int16)"),
    "INT32": ("int32", "tensor(int32)"),
    "INT64": ("int64", "tensor(int64)"),
    "FP16": ("float16", "tensor(float16)"),
    "FP32": ("float32", "tensor(float)"),
    "FP64": ("float64", "tensor(double)"),
}
"""What NumPy and onnxruntime call each data type of the protocol. Strings are not served."""
_DTYPES: Final = {name: np.dtype(dtype) for name, (dtype, _) in NAMES.items()}
_BY_DTYPE: Final = {dtype: name for name, (dtype, _) in NAMES.items()}
_BY_ONNX: Final = {onnx: name for name, (_, onnx) in NAMES.items()}


class BadInput(ValueError):
    """An input is not what the model's signature asks for. The text never quotes the input."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a model.

    Attributes:
        name: Its name.
        datatype: Its type in the Open Inference Protocol, a key of `NAMES`.
        shape: Size of each dimension; `FREE` for any.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its elements."""
        return _DTYPES[self.datatype]

    @property
    def free_rows(self) -> bool:
        """Whether its first dimension may have any size."""
        return bool(self.shape) and self.shape[0] == FREE

    def takes(self, shape: Sequence[int]) -> bool:
        """Say whether an array of a shape fits."""
        if len(shape) != len(self.shape):
            return False
        # A loop, since this is done for every request, and what would be shorter takes three times as long.
        for mine, given in zip(self.shape, shape, strict=True):  # noqa: SIM110
            if mine not in (FREE, given):
                return False
        return True

    def check(self, array: Array) -> None:
        """Raise `BadInput` where an array is not what is asked for."""
        if array.dtype != self.dtype:
            raise BadInput(f"input {self.name!r} must have type {self.datatype}")
        if not self.takes(array.shape):
            raise BadInput(f"input {self.name!r} must have shape {list(self.shape)}, -1 standing for any size")


def of_dtype(dtype: str) -> str | None:
    """Return the protocol's name of a NumPy type; None where there is none."""
    return _BY_DTYPE.get(dtype)


def of_onnx(kind: str) -> str | None:
    """Return the protocol's name of a type of onnxruntime; None where there is none."""
    return _BY_ONNX.get(kind)
