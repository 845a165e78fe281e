"""The correction for many questions asked at once: p-values in, p-values out that each may be held against alpha."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Keep the chance of any false alarm to alpha (Holm 1979).

    It holds for p-values that are valid at all times too, since it does not ask how they depend on each other.
    """
    given = np.asarray(p_values, np.float64)
    order = np.argsort(given, axis=-1)
    left = np.arange(given.shape[-1], 0, -1)
    ordered = np.minimum(np.maximum.accumulate(np.take_along_axis(given, order, -1) * left, axis=-1), 1.0)
    result = np.empty_like(ordered)
    np.put_along_axis(result, order, ordered, -1)
    return result
