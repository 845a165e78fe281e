"""What the answers of a turn add to the metrics, added in one go: each addition by itself takes a lock, or several."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

from prometheus_client import Histogram

from mlops.metrics import Metrics

METHOD: Final = "POST"


class Figures:
    """Gathers how many answers there were of each route and status, and what they took.

    Args:
        metrics: Where they are counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._seconds: dict[tuple[str, int], list[float]] = {}

    def add(self, route: str, status: int, seconds: float) -> None:
        """Gather an answer."""
        gathered = self._seconds.get((route, status))
        if gathered is None:
            gathered = self._seconds[route, status] = []
        gathered.append(seconds)

    def settle(self) -> None:
        """Count what was gathered."""
        for (route, status), seconds in self._seconds.items():
            if seconds:
                self._metrics.request[route, METHOD, str(status)].inc(len(seconds))
                observe_all(self._metrics.request_time[(route,)], seconds)
                seconds.clear()


def observe_all(histogram: Histogram, values: Sequence[float]) -> None:
    """Do what ``histogram.observe`` does for each value; the library itself knows no such thing.

    Args:
        histogram: One without labels, or the child of all of its labels.
        values: What was seen.
    """
    bounds, buckets = histogram._upper_bounds, histogram._buckets
    first, last = bisect_left(bounds, min(values)), bisect_left(bounds, max(values))
    if first == last:
        buckets[first].inc(len(values))
    else:
        for place, count in Counter([bisect_left(bounds, value) for value in values]).items():
            buckets[place].inc(count)
    histogram._sum.inc(sum(values))
