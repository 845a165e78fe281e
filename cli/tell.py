"""What the user is told: progress and faults on standard error, data on standard output."""

import json
import sys
import threading
import time
from collections.abc import Mapping
from typing import Final

from cli.outcome import Outcome, State

_REDRAW_SECONDS: Final = 0.1
_CLEAR: Final = "\r\x1b[K"


def printable(text: str) -> str:
    """Give a text without what could steer a terminal or cannot be encoded: a file's name may hold anything."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


class Teller:
    """Tells of one run; its methods may be called from any thread.

    On a terminal there is one line of progress that is drawn over; elsewhere, one line for each file.

    Args:
        total: How many files there are.
        as_json: One JSON object for each file goes to standard output.
        quiet: Faults alone go to standard error.
    """

    def __init__(self, total: int, *, as_json: bool = False, quiet: bool = False) -> None:
        self._total = total
        self._as_json = as_json
        self._quiet = quiet
        self._terminal = sys.stderr.isatty() and not quiet
        self._lock = threading.Lock()
        self._done = 0
        self._drawn = 0.0

    def ended(self, outcome: Outcome) -> None:
        """Tell what became of a file."""
        with self._lock:
            self._done += 1
            if self._as_json:
                emit(outcome.as_dict())
            if not self._quiet or outcome.error:
                self._line(f"[{self._done}/{self._total}] {_sentence(outcome)}")

    def progress(self, file: str, done: int, total: int | None, unit: str = "frames") -> None:
        """Tell how far the work on one long file is; drawn on a terminal only."""
        with self._lock:
            now = time.monotonic()
            if not self._terminal or now - self._drawn < _REDRAW_SECONDS:
                return
            self._drawn = now
            share = f"{100 * done // total} %" if total else f"{done} {unit}"
            sys.stderr.write(f"{_CLEAR}[{self._done + 1}/{self._total}] {printable(file)}: {share}")
            sys.stderr.flush()

    def say(self, text: str) -> None:
        """Tell something that is no single file's."""
        with self._lock:
            if not self._quiet:
                self._line(text)

    def _line(self, text: str) -> None:
        sys.stderr.write(f"{_CLEAR if self._terminal else ''}{printable(text)}\n")
        sys.stderr.flush()


def emit(values: Mapping[str, object]) -> None:
    """Write one JSON object as a line of standard output; names that are no text come as escapes."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _sentence(outcome: Outcome) -> str:
    what = _counted(outcome)
    told = {
        State.MASKED: f"{what} masked",
        State.FOUND: f"{what} found",
        State.NEEDS_REVIEW: f"{what} masked; needs review",
        State.WITHHELD: "withheld",
        State.FAILED: "failed",
        State.SKIPPED: "left as it is",
    }[outcome.state]
    error = f": {outcome.error}" if outcome.error else ""
    return f"{outcome.file}: {told}{error} ({outcome.seconds:.2f} s)"


def _counted(outcome: Outcome) -> str:
    """Say what was masked or found: faces, speech, or of a video with masked voices both."""
    faces = f"{outcome.faces} {'face' if outcome.faces == 1 else 'faces'}"
    if outcome.speech is None:
        return faces
    speech = f"{outcome.speech:.1f} s of speech"
    return speech if (outcome.kind or "").startswith("audio/") else f"{faces} and {speech}"
