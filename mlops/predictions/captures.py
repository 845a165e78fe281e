"""Takes samples of features and masked output, and raw input where that was granted, behind the back of who answers.

Which predictions are sampled follows from their names, so replicas need not agree. Capturing stops before the disk is
full, or while it is too slow; serving never does.
"""

import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from mlops.metrics import Metrics
from mlops.predictions.capture_file import MASKED, RAW, Capture, bytes_in, write_captures
from mlops.predictions.grants_file import Leases, read_leases
from mlops.predictions.keys import key_for
from mlops.predictions.seldom import Seldom
from mlops.predictions.settings import CaptureSettings
from mlops.redis import Seal

WAITING_BYTES: Final = 64 << 20
"""Bytes of captures that wait in memory at most, about."""
OVERHEAD_BYTES: Final = 2048
"""What a capture is taken for beside its output."""
FLUSH_SECONDS: Final = 1.0
FILE_CAPTURES: Final = 500
LOOK_SECONDS: Final = 5.0
"""Seconds between two looks at the folder and at the grants."""
TAIL: Final = 8
OUTCOMES: Final = ("written", "dropped", "full", "failed")
MASKED_PURPOSE: Final = "capture"
RAW_PURPOSE: Final = "capture-raw"
log = logging.getLogger(__name__)


def seals(settings: CaptureSettings, secret: bytes | None, clock: Callable[[], float] = time.time) -> dict[str, Seal]:
    """Return what files of captures are sealed with, by their ending.

    Raises:
        OSError: There is no secret, and the keys cannot be kept in files.
    """
    purposes = {MASKED: MASKED_PURPOSE, RAW: RAW_PURPOSE}
    return {end: Seal(key_for(purpose, secret, settings.path), clock) for end, purpose in purposes.items()}


class Captures:
    """The captures of one process. `wanted`, `offer` and the rest may be called from any thread.

    Args:
        settings: How many, and how much room they have.
        metrics: What becomes of them is counted there.
        secret: What all processes of the platform share, if there is such a thing: files are sealed with it.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        settings: CaptureSettings,
        metrics: Metrics,
        secret: bytes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._clock = clock
        self._edge = _edge(settings.share)
        self._waiting: deque[tuple[Capture, str, float]] = deque()
        self._waiting_bytes = 0
        self._lying_bytes = 0
        self._leases = Leases({}, 0.0)
        self._next_look = 0.0
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = Seldom(log, "captures were not written", "captures")
        self._counts = {outcome: metrics.captures.labels(outcome) for outcome in OUTCOMES}

    def wanted(self, identity: str) -> bool:
        """Say whether a prediction is in the sample: the end of its name is random."""
        return identity[-TAIL:] < self._edge

    def wanted_of(self, identity: str, share: float) -> bool:
        """Say whether a prediction is in a sample of another share, or in the usual one."""
        return identity[-TAIL:] < max(self._edge, _edge(share))

    def offer(self, capture: Capture, raw: bytes | None = None) -> None:
        """Take a capture; nothing is waited for, and nothing raised.

        Args:
            capture: Features and masked output. Arrays must not be written to afterwards.
            raw: What came in; it is kept only where a person granted that for the endpoint, and else forgotten.
        """
        self._put(capture, MASKED, self._settings.keep_seconds)
        if raw is not None and (left := self._leases.seconds_left(capture.endpoint, self._clock())) > 0:
            came = Capture(
                capture.identity, capture.time, capture.endpoint, capture.model, capture.version, capture.variant,
                output=raw,
            )  # fmt: skip
            self._put(came, RAW, min(left, self._settings.keep_seconds))

    def wants_raw(self, endpoint: str) -> bool:
        """Say whether raw input of an endpoint may be captured now; False unless a grant is known to hold."""
        return self._leases.seconds_left(endpoint, self._clock()) > 0

    def open(self) -> None:
        """Begin to write.

        Raises:
            OSError: The folder cannot be made, or the keys not be kept there.
        """
        self._settings.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._seals = seals(self._settings, self._secret, self._clock)
        self._look()
        self._thread = threading.Thread(target=self._keep_writing, name="write-captures", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what waits, and end."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _put(self, capture: Capture, ending: str, keep_seconds: float) -> None:
        size = _size(capture)
        if self._waiting_bytes + size > WAITING_BYTES or self._closing.is_set():
            self._counts["dropped"].inc()
            return
        self._waiting_bytes += size
        self._waiting.append((capture, ending, keep_seconds))

    def _keep_writing(self) -> None:
        while not self._closing.wait(FLUSH_SECONDS):
            try:
                self._look()
            except OSError as error:
                # What is known of the folder stands until the next look; a grant ends by itself.
                log.warning("the folder of captures cannot be looked at", extra={"reason": repr(error)})
            self._write_waiting()
            self._failing.catch_up()
        self._write_waiting()
        self._failing.catch_up(at_once=True)

    def _look(self) -> None:
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            self._leases = read_leases(self._settings.path)
            self._lying_bytes = bytes_in(self._settings.path)

    def _write_waiting(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), FILE_CAPTURES))]
            for ending in (MASKED, RAW):
                captures = [capture for capture, kind, _ in batch if kind == ending]
                if captures:
                    # What was granted until the sooner end is kept until then.
                    keep_seconds = min(seconds for _, kind, seconds in batch if kind == ending)
                    self._write(captures, ending, keep_seconds)
            # Threads that add at the same time may lose a count: it is right again once nothing waits.
            self._waiting_bytes = sum(_size(capture) for capture, _, _ in list(self._waiting))

    def _write(self, captures: Sequence[Capture], ending: str, keep_seconds: float) -> None:
        size = sum(map(_size, captures))
        if not self._has_room(size):
            self._counts["full"].inc(len(captures))
            return
        try:
            place = write_captures(
                self._settings.path, captures, ending, self._seals[ending], self._clock(), keep_seconds
            )
            self._lying_bytes += place.stat().st_size
        except OSError as error:
            self._failing.note(len(captures), error)
            self._counts["failed"].inc(len(captures))
        except Exception:
            # Whatever is wrong with these, others and the thread go on.
            log.exception("captures were not written", extra={"captures": len(captures)})
            self._counts["failed"].inc(len(captures))
        else:
            self._counts["written"].inc(len(captures))

    def _has_room(self, size: int) -> bool:
        if self._lying_bytes + size > self._settings.most_bytes:
            return False
        try:
            return shutil.disk_usage(self._settings.path).free - size >= self._settings.reserve_bytes
        except OSError:
            return False


def _edge(share: float) -> str:
    """Return what the random ends of the names in a sample of that share lie below."""
    return f"{int(share * 16**TAIL):0{TAIL}x}" if share < 1 else "g"


def _size(capture: Capture) -> int:
    return OVERHEAD_BYTES + (len(capture.output) if isinstance(capture.output, bytes) else 0)
