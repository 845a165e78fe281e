"""A call on its way, and the row that is left of it."""

import time
from collections.abc import Mapping

import msgspec

from mlops.generic.loading import GenericModel
from mlops.generic.tensors import BadInput
from mlops.predictions.row import REJECTED, Prediction
from services.serving.endpoints import Chosen
from services.serving.generic.answers import Share
from services.serving.generic.calls import Asked, Call
from services.serving.ledger import outcome_of


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
        run_seconds: What the run took.
    """

    call: Call
    identity: str
    subject: str = ""
    chosen: Chosen[GenericModel] | None = None
    asked: Asked | None = None
    share: Share | None = None
    error: Exception | None = None
    run_seconds: float = 0.0


def outcome_of_call(error: Exception) -> str:
    """Return what an error makes of a call."""
    return REJECTED if isinstance(error, BadInput) else outcome_of(error)


def row_of(
    ticket: Ticket, outcome: str, status: int, counts: Mapping[str, float] | None = None, *, shadow: bool = False
) -> Prediction:
    """Return the row of a call.

    Who is not named has a subject in experiments only, which count people; who picks a variant was not drawn for it.
    """
    call, chosen = ticket.call, ticket.chosen
    split = None if chosen is None else chosen.split
    experiment = "" if split is None or call.variant is not None or call.version is not None else split.experiment
    seconds = time.perf_counter() - call.began
    return Prediction(
        ticket.identity,
        time.time() - seconds,
        call.endpoint,
        "" if chosen is None else chosen.model.name,
        "" if chosen is None else chosen.model.version,
        "" if chosen is None else chosen.variant.name,
        "" if split is None else split.release,
        experiment,
        ticket.subject if experiment or ticket.subject != call.request_id else "",
        outcome,
        status,
        seconds,
        {"run": ticket.run_seconds},
        {"rows": 1.0 if ticket.asked is None else float(ticket.asked.rows), **(counts or {})},
        "",
        shadow,
    )
