"""For which endpoints raw input may be captured, as a file that serving reads without a database.

It holds for a short time only: where nobody writes it any more, nothing raw is captured.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlops.folders import write_whole

FILE: Final = "grants.json"
LEASE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Leases:
    """What is granted, as far as is known here.

    Attributes:
        ends: When the grant of each endpoint ends, in seconds since the epoch.
        holds: Until when this is to be believed.
    """

    ends: Mapping[str, float]
    holds: float

    def seconds_left(self, endpoint: str, now: float) -> float:
        """Return how long what comes in now may be kept; 0 or less where nothing may."""
        return self.ends.get(endpoint, 0.0) - now if now < self.holds else 0.0


def write_leases(folder: Path, ends: Mapping[str, float], now: float) -> None:
    """Write the file, all of it or nothing.

    Raises:
        OSError: It cannot be written.
    """
    write_whole(folder / FILE, json.dumps({"holds": now + LEASE_SECONDS, "ends": dict(ends)}))


def read_leases(folder: Path) -> Leases:
    """Return what is granted; a file that is missing or damaged grants nothing."""
    try:
        read = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return Leases({str(endpoint): float(end) for endpoint, end in read["ends"].items()}, float(read["holds"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Leases({}, 0.0)
