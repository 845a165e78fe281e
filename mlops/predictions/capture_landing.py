"""Has the numbers of captures land in the lake: features and results, a row for each name of each prediction."""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from mlops.folders import entries
from mlops.predictions import lake
from mlops.predictions.analysis import merge_parquet, write_parquet
from mlops.predictions.capture_file import Capture, Unreadable, made_at, read_captures
from mlops.predictions.looked import mark, unlooked
from mlops.redis import Seal

SETTLED_SECONDS: Final = 600.0
"""How long after its end an hour becomes one file."""
MOST_NUMBERS: Final = 4096
"""Numbers of one name of one prediction; what has more stays in the capture alone."""
FEATURES: Final = "features"
RESULTS: Final = "results"
WHO: Final = "landed"
log = logging.getLogger(__name__)


class CaptureLanding:
    """Captures on their way into the lake. They lie in the hours in which their files were made.

    Args:
        folder: Where captures are.
        root: The lake.
        seal: Gives what captures are sealed with.
        features_of: Endpoints whose features land, too; the lake is not sealed.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        folder: Path,
        root: Path,
        seal: Callable[[], Seal],
        features_of: Collection[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._root = root
        self._seal = seal
        self._features_of = features_of
        self._clock = clock
        self._lines = root / "lines"

    def land(self) -> None:
        """Bring what is new, and make one file of each hour that is over.

        Raises:
            NoAnswer: A file cannot be written.
            OSError: The disk does not take it.
        """
        with lake.alone(self._root, FEATURES) as folder:
            if folder is not None:
                self._lines = folder / "lines"
                self._bring_new()
                self._make_whole()

    def _bring_new(self) -> None:
        hours: dict[int, list[Path]] = {}
        for place in unlooked(self._folder, WHO):
            hours.setdefault(lake.hour_of(made_at(place)), []).append(place)
        for hour, places in hours.items():
            captures = [capture for place in places for capture in self._read(place)]
            # The same files make the same name: who is killed before they are marked writes over it.
            stem = f"{places[0].stem}-{len(places)}"
            open_ones = [each for each in captures if each.endpoint in self._features_of]
            self._write(FEATURES, hour, stem, (row for each in open_ones for row in rows_of(each, each.features)))
            self._write(RESULTS, hour, stem, (row for each in captures for row in rows_of(each, results(each))))
            mark(self._folder, WHO, places)

    def _read(self, place: Path) -> list[Capture]:
        try:
            return read_captures(place, self._seal())
        except (Unreadable, FileNotFoundError) as error:
            log.warning("captures cannot be read", extra={"reason": repr(error)})
            return []

    def _write(self, table: str, hour: int, stem: str, rows: Iterator[dict[str, Any]]) -> None:
        with self._lines.open("wb") as file:
            for row in rows:
                file.write(_encode(row) + b"\n")
        if self._lines.stat().st_size:
            write_parquet(table, self._lines, lake.folder_of(self._root, table, hour) / f"part-{stem}.parquet")

    def _make_whole(self) -> None:
        for table in (FEATURES, RESULTS):
            for folder in entries(self._root / table, "hour=*"):
                over = lake.begin_of(folder) + lake.HOUR_SECONDS + SETTLED_SECONDS <= self._clock()
                parts = entries(folder, "*.parquet")
                if over and (len(parts) > 1 or lake.rows_of(folder) is None):
                    lake.drop_superseded(folder, merge_parquet(table, parts, folder))


def rows_of(capture: Capture, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give each value that is a number or an array of numbers as a row of the lake; what is neither is left out."""
    which = {name: getattr(capture, name) for name in ("identity", "time", "endpoint", "model", "version", "variant")}
    for name, value in values.items():
        if value is None or isinstance(value, str | bytes):
            # A version is no number, though it may look like one.
            continue
        with suppress(TypeError, ValueError):
            numbers = np.asarray(value, np.float64)
            if numbers.size <= MOST_NUMBERS:
                plain = [each if np.isfinite(each) else None for each in numbers.ravel().tolist()]
                yield {**which, "name": name, "shape": list(numbers.shape), "numbers": plain}


def results(capture: Capture) -> Mapping[str, Any]:
    """Return what came of a prediction: the outputs of a generic model, else what the report has in numbers."""
    return capture.output if isinstance(capture.output, dict) else capture.report


_encode: Final = msgspec.json.Encoder().encode
