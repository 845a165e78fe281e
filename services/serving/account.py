"""The account of a request: who asked, what was chosen, what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops.predictions.row import OK
from services.serving.endpoints import Chosen, Endpoint, M


@dataclass(slots=True)
class Account:
    """What is known of a request so far.

    Attributes:
        identity: Its name, which the answer has as ``X-Prediction-Id``.
        began: When it began, in seconds since the epoch.
        start: The same by the clock that measures.
        subject: Who gets the same variant each time: whom it names, else its own id.
        override: The variant that it picks; None for none.
        chosen: What answers it; None as long as nothing was chosen.
        outcome: What came of it.
        stages: Seconds by stage.
        counts: What was found.
        cache: What the cache had to do with it.
        seconds: What it took; None for the time since it began.
        is_named: Whether the request named its subject.
        is_told: Whether a row is made of it; not of what became a job, whose account is the table of jobs.
    """

    identity: str
    began: float
    start: float
    subject: str
    override: str | None
    chosen: Chosen[Any] | None = None
    outcome: str = OK
    stages: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)
    cache: str = ""
    seconds: float | None = None
    is_named: bool = True
    is_told: bool = True

    def choose(self, endpoint: Endpoint[M]) -> Chosen[M]:
        """Choose what answers.

        Raises:
            NotReady, UnknownVariant: As `Endpoint.choose`.
        """
        chosen = endpoint.choose(self.subject, self.override)
        self.chosen = chosen
        return chosen

    def still(self, endpoint: Endpoint[M], chosen: Chosen[M]) -> Chosen[M]:
        """Return what was chosen, or another choice where that answers nobody any more; called before work begins."""
        if not endpoint.answers(chosen):
            chosen = endpoint.choose(self.subject)
            self.chosen = chosen
        return chosen

    def headers(self, endpoint: str) -> dict[str, str]:
        """Return the headers that name the answer, the endpoint, and the version and variant behind it."""
        told = {"X-Prediction-Id": self.identity, "X-Endpoint": endpoint, "Cache-Control": "no-store"}
        if self.chosen is None:
            return told
        return told | {"X-Model-Version": self.chosen.model.version, "X-Variant": self.chosen.variant.name}


def count_piece(account: Account, pieces: str, seconds: float, *, bad: bool) -> None:
    """Count one piece of a stream: its row has the pieces, the bad ones, and the mean seconds of one."""
    counts = account.counts
    number = counts.get(pieces, 0) + 1
    account.counts = {pieces: number, "bad": counts.get("bad", 0) + bad}
    before = account.seconds or 0.0
    account.seconds = before + (seconds - before) / number
