"""What became of one file, and the exit code of a whole run."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import IntEnum, StrEnum
from typing import Final


class Exit(IntEnum):
    """Exit codes of `masker`."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    REVIEW = 3
    WITHHELD = 4
    INTERRUPTED = 130


class State(StrEnum):
    """What became of a file."""

    MASKED = "masked"
    NEEDS_REVIEW = "needs_review"
    WITHHELD = "withheld"
    FAILED = "failed"
    FOUND = "found"
    SKIPPED = "skipped"


_EXITS: Final = {State.FAILED: Exit.ERROR, State.WITHHELD: Exit.WITHHELD, State.NEEDS_REVIEW: Exit.REVIEW}
"""Worst first: a file that failed outweighs one that was withheld, and that outweighs one to be looked at."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file; one line of ``--json``.

    Attributes:
        file: Path of the input.
        state: What became of it; ``found`` is what a dry run says.
        output: Path of the masked file; None if there is none.
        kind: Media type; None where it was never known.
        faces: How many faces are masked, or in a dry run would be.
        speech: Seconds of speech that are masked, or in a dry run would be; None where no sound is masked.
        notes: What else was changed, as in the report.
        seconds: Wall time spent on this file.
        error: Class and text of what went wrong; None if nothing did.
    """

    file: str
    state: State
    output: str | None = None
    kind: str | None = None
    faces: int = 0
    speech: float | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str | None = None

    def as_dict(self) -> dict[str, object]:
        """Give the outcome as values that JSON knows."""
        return asdict(self)


def exit_code(states: Iterable[State]) -> Exit:
    """Give the exit code of a run over files that ended in these states."""
    seen = set(states)
    return next((code for state, code in _EXITS.items() if state in seen), Exit.DONE)
