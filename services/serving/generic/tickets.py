"""A call on its way, and the row that is left of it."""

import time
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from mlops.generic.loading import GenericModel
from mlops.generic.tensors import BadInput
from mlops.predictions.row import PICKED, REJECTED, Prediction
from services.serving.endpoints import Chosen
from services.serving.generic.answers import Share
from services.serving.generic.calls import Asked, Call
from services.serving.generic.explain import Explained
from services.serving.ledger import outcome_of

NOT_RUN: Final[Mapping[str, float]] = {"run": 0.0}
ONE_ROW: Final[Mapping[str, float]] = {"rows": 1.0}


class Ticket(msgspec.Struct, gc=False):
    """A call on its way.

    Attributes:
        call: The call.
        identity: Name of the prediction.
        subject: Whoever is to get the same variant each time: whom the call names, else its own id.
        chosen: What answers it.
        asked: What its body asks for.
        share: What the model gave.
        error: What went wrong.
        stages: Seconds by stage, the same object for all that shared a run.
        failed: What a candidate made of the same call, where the champion answers it in its place.
        explains: Whether it is asked what the answer hangs on; such a ticket shares no run.
        explained: What the answer hangs on.
    """

    call: Call
    identity: str
    subject: str = ""
    chosen: Chosen[GenericModel] | None = None
    asked: Asked | None = None
    share: Share | None = None
    error: Exception | None = None
    stages: Mapping[str, float] | None = None
    failed: "Ticket | None" = None
    explains: bool = False
    explained: Explained | None = None


def outcome_of_call(error: Exception) -> str:
    """Return what an error makes of a call."""
    return REJECTED if isinstance(error, BadInput) else outcome_of(error)


class Moment(NamedTuple):
    """Now, by `time.perf_counter`, and how far the seconds since the epoch are ahead of that."""

    now: float
    ahead: float


def this_moment() -> Moment:
    """Return what it is now."""
    now = time.perf_counter()
    return Moment(now, time.time() - now)


def row_of(
    ticket: Ticket,
    outcome: str,
    status: int,
    moment: Moment,
    counts: Mapping[str, float] | None = None,
    *,
    shadow: bool = False,
) -> Prediction:
    """Return the row of a call that ends at a moment.

    Who is not named has a subject in experiments only, which count people; who picks a variant was not drawn for it,
    and says nothing to experiments and releases.
    """
    call, chosen = ticket.call, ticket.chosen
    picks = call.variant is not None or call.version is not None
    split = None if chosen is None or picks else chosen.split
    experiment = "" if split is None else split.experiment
    rows = 1 if ticket.asked is None else ticket.asked.rows
    if picks:
        counts = {PICKED: 1.0, **(counts or {})}
    return Prediction(
        ticket.identity,
        call.began + moment.ahead,
        call.endpoint,
        "" if chosen is None else chosen.model.name,
        "" if chosen is None else chosen.model.version,
        "" if chosen is None else chosen.variant.name,
        "" if split is None else split.release,
        experiment,
        ticket.subject if experiment or ticket.subject != call.request_id else "",
        outcome,
        status,
        moment.now - call.began,
        ticket.stages or NOT_RUN,
        ONE_ROW if rows == 1 and not counts else {"rows": float(rows), **(counts or {})},
        "",
        shadow,
    )
