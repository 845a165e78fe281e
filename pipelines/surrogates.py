"""Stage `surrogates`: averages of the people of the training split, none of whom is shown, for the style `averages`."""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from masking.face.surrogates.averages import Averages, K, TooFewPeople, average
from pipelines.dataset import Crop, read_crops

INGESTED = Path("data/ingested")
OUT = Path("data/surrogates")
FILE = "surrogates.npz"
COUNT, SEED = 32, 0


def make(crops: Iterable[Crop], *, k: int = K, count: int = COUNT, seed: int = SEED) -> Averages:
    """Average crops of known people whose landmarks are known.

    Args:
        crops: Of any people.
        k: People in each average.
        count: How many averages.
        seed: Of the draws.

    Raises:
        TooFewPeople: Fewer than k people are known.
    """
    known = [crop for crop in crops if crop.identity is not None and np.isfinite(crop.landmarks).all()]
    return average(
        [crop.pixels for crop in known],
        [crop.landmarks for crop in known],
        [str(crop.identity) for crop in known],
        count=count,
        k=k,
        seed=seed,
    )


def write(crops: Iterable[Crop], out: Path, *, k: int = K, count: int = COUNT, seed: int = SEED) -> Averages | None:
    """Write the averages to ``out``, or leave it empty where the people are too few: then there is no style `averages`.

    Arguments as in `make`; ``out`` is made anew as to its file of averages.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).unlink(missing_ok=True)
    try:
        made = make(crops, k=k, count=count, seed=seed)
    except TooFewPeople as error:
        sys.stderr.write(f"surrogates: none are made, so this model has no style `averages`: {error}\n")
        return None
    made.save(out / FILE)
    sys.stderr.write(f"surrogates: {count} averages of {k} people each\n")
    return made


def main() -> None:
    """Write data/surrogates from the training split of data/ingested."""
    write(read_crops(INGESTED, split="train"), OUT)


if __name__ == "__main__":
    main()
