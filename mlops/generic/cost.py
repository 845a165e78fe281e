"""What a run of a graph costs, measured when it is loaded, and whether requests may share one."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from mlops.generic.tensors import Array

SIZES: Final = (1, 8, 32)
"""Rows of the runs that are timed."""
ROUNDS: Final = 5
WARM_ROUNDS: Final = 2
PAYS: Final = 0.8
"""Batching pays where eight rows together cost less than this share of eight runs."""
CLOSE: Final = 1e-3
"""How far a row may move, relative to its scale, when it is computed beside others: other kernels round otherwise."""

Run = Callable[[Mapping[str, Array]], list[Array]]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run costs: seconds for the call and for each of its rows, and whether requests share runs."""

    call_seconds: float
    row_seconds: float
    batches: bool

    def seconds(self, rows: int) -> float:
        """Return what a run over so many rows costs, about."""
        return self.call_seconds + rows * self.row_seconds


def measure(run: Run, sample: Mapping[str, Array], *, free: bool) -> Cost:
    """Time a graph on a sample of its inputs, and see whether rows are computed each for itself.

    Args:
        run: The graph.
        sample: Golden inputs; at least one row each.
        free: Whether inputs and outputs all have a free first dimension.
    """
    if not free:
        return Cost(_least_seconds(run, sample), 0.0, batches=False)
    batches = {size: {name: _rows(array, size) for name, array in sample.items()} for size in SIZES}
    seconds = {size: _least_seconds(run, batch) for size, batch in batches.items()}
    first, some, most = (seconds[size] for size in SIZES)
    row = max(0.0, (most - first) / (SIZES[2] - SIZES[0]))
    pays = some < PAYS * SIZES[1] * first and rows_apart(run, batches[SIZES[1]])
    return Cost(max(0.0, first - row), row, pays)


def rows_apart(run: Run, batch: Mapping[str, Array]) -> bool:
    """Say whether each row of a batch gets what it gets alone, whatever stands beside it.

    A graph that normalises over its batch, or sums over it, must not have the requests of two callers in one run.
    """
    together = run(batch)
    size = len(next(iter(batch.values())))
    if any(len(output) != size for output in together):
        return False
    for place in (0, size // 2, size - 1):
        alone = run({name: array[place : place + 1] for name, array in batch.items()})
        if not all(_close(each[0], whole[place]) for each, whole in zip(alone, together, strict=True)):
            return False
    return True


def _close(one: Array, other: Array) -> bool:
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    scale = float(np.abs(one).max(initial=0.0)) or 1.0
    return bool(np.allclose(one, other, rtol=0.0, atol=CLOSE * scale, equal_nan=True))


def _rows(array: Array, size: int) -> Array:
    # Rows that differ, or a graph that mixes them would go unnoticed.
    rows = np.resize(array, (size, *array.shape[1:]))
    if array.dtype.kind == "f" and len(array) < size:
        rows = rows * np.linspace(0.5, 1.0, size).reshape(-1, *[1] * (array.ndim - 1))
    return np.ascontiguousarray(rows, array.dtype)


def _least_seconds(run: Run, batch: Mapping[str, Array]) -> float:
    """Give the least CPU seconds of one run: the minimum is what it costs, the rest is what else ran."""
    times = []
    for _ in range(WARM_ROUNDS + ROUNDS):
        start = time.thread_time()
        run(batch)
        times.append(time.thread_time() - start)
    return min(times)
