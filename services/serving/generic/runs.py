"""Has models compute: calls that may share a run together, and each by itself where that fails."""

import logging
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from masking.errors import ModelError
from mlops.generic.tensors import Array, BadInput, Tensor
from services.serving.generic.answers import Outputs, Share
from services.serving.generic.arrays import as_array
from services.serving.generic.explain import explain
from services.serving.generic.tickets import Ticket

MOST_ROWS: Final = 64
"""Rows of a run that requests share; beyond them sharing brings nothing more."""
log = logging.getLogger(__name__)


def run_all(tickets: Sequence[Ticket]) -> None:
    """Have the models compute for all tickets that have no error yet; nothing is raised."""
    for group in _by_model(tickets):
        for batch in _batches(group):
            run_batch(batch)


def _by_model(tickets: Sequence[Ticket]) -> list[list[Ticket]]:
    """Return the tickets that can be run, those of each model together."""
    groups: dict[int, list[Ticket]] = {}
    for ticket in tickets:
        if ticket.error is None and ticket.chosen is not None:
            groups.setdefault(id(ticket.chosen.model), []).append(ticket)
    return list(groups.values())


def _batches(tickets: list[Ticket]) -> list[list[Ticket]]:
    """Return the tickets of one model, those that may share a run together."""
    chosen = tickets[0].chosen
    if len(tickets) == 1 or chosen is None or not chosen.model.cost.batches:
        return [[ticket] for ticket in tickets]
    batches: list[list[Ticket]] = [[]]
    rows = 0
    for ticket in tickets:
        more = 1 if ticket.asked is None else ticket.asked.rows
        if batches[-1] and rows + more > MOST_ROWS:
            batches.append([])
            rows = 0
        batches[-1].append(ticket)
        rows += more
    return batches


def run_batch(tickets: list[Ticket]) -> None:
    """Run tickets of one model together; where that fails each by itself, so that nobody fails for another.

    The tickets have what went wrong; nothing is raised.
    """
    began = time.perf_counter()
    try:
        _run_together(tickets)
    except BadInput as error:
        _apart(tickets, error)
    except Exception as error:
        log.exception("a generic model failed")
        failure = ModelError("the model failed")
        failure.__cause__ = error
        _apart(tickets, failure)
    stages = {"run": time.perf_counter() - began}
    for ticket in tickets:
        ticket.stages = stages


def _apart(tickets: list[Ticket], error: Exception) -> None:
    if len(tickets) == 1:
        tickets[0].error = error
        return
    for ticket in tickets:
        run_batch([ticket])


def _run_together(tickets: list[Ticket]) -> None:
    chosen = tickets[0].chosen
    if chosen is None:
        raise RuntimeError("a ticket that nothing was chosen for")
    model = chosen.model
    asked = [ticket.asked for ticket in tickets if ticket.asked is not None]
    inputs = {tensor.name: _joined([each.inputs[tensor.name] for each in asked], tensor) for tensor in model.inputs}
    if tickets[0].explains:
        tickets[0].explained = explain(model, inputs)
    outputs = Outputs(model, inputs, model.run(inputs))
    if len(tickets) == 1:
        tickets[0].share = Share(outputs)
        return
    start = 0
    rows = sum(each.rows for each in asked)
    if any(len(array) != rows for array in outputs.arrays):
        raise ModelError("the model gave another number of rows than it got")
    for ticket, each in zip(tickets, asked, strict=True):
        ticket.share = Share(outputs, start, start + each.rows)
        start += each.rows


def _joined(parts: list[Any], tensor: Tensor) -> Array:
    """Return the rows of several requests as one array; each of them must be what the tensor takes."""
    if all(isinstance(part, bytes) for part in parts):
        return as_array(b"".join(parts), tensor)
    if len(parts) == 1:
        return as_array(parts[0], tensor)
    return np.concatenate([as_array(part, tensor) for part in parts])
