"""Where an answer has no number: JSON tells it as null, and whoever asked gets nothing from it."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mlops.generic.tensors import Array
from services.serving.generic.answers import first_and_probabilities
from services.serving.generic.tickets import Ticket

Gaps = Mapping[str, NDArray[np.bool_]]
"""By output of an answer that has any, where its values are not finite."""


def gaps(ticket: Ticket) -> Gaps:
    """Return where values that an answer tells are not finite; nothing of a ticket that has no answer."""
    return {
        name: ~finite
        for name, array in _told(ticket).items()
        if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all()
    }


def is_worse(own: Gaps, other: Gaps) -> bool:
    """Say whether an answer has gaps where another has none."""
    return any(
        name not in other or other[name].shape != found.shape or bool((found & ~other[name]).any())
        for name, found in own.items()
    )


def _told(ticket: Ticket) -> dict[str, Array]:
    share, asked, told = ticket.share, ticket.asked, dict[str, Array]()
    if share is None:
        return told
    outputs = share.outputs.model.outputs
    if ticket.call.kind == "predict":
        # Versions may call their outputs otherwise, and mean the same by them.
        first, beside = first_and_probabilities(outputs)
        told["first"] = share.array(first)
        if beside is not None:
            told["beside"] = share.array(beside)
    else:
        wanted = None if asked is None else asked.outputs
        told |= {
            each.name: share.array(place) for place, each in enumerate(outputs) if wanted is None or each.name in wanted
        }
    if ticket.explained is not None:
        rows = [[each.prediction, each.score, *each.effects] for each in ticket.explained.explanations]
        told["explained"] = np.array(rows, np.float64)
    return told
