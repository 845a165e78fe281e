"""What is done with answered calls behind the answer: samples are captured, and a shadow gets copies."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import msgspec
import numpy as np

from masking.errors import ModelError
from mlops.generic.loading import GenericModel
from mlops.generic.tensors import Array, BadInput
from mlops.metrics import Metrics
from mlops.predictions.capture_file import Capture
from mlops.predictions.row import FAILED, OK, new_identity
from services.serving.endpoints import Chosen
from services.serving.generic.bodies import read
from services.serving.generic.confidence import confidence
from services.serving.generic.gaps import Gaps, gaps, is_worse
from services.serving.generic.predictor import Endpoints
from services.serving.generic.runs import run_batch
from services.serving.generic.tickets import Ticket, row_of, this_moment
from services.serving.ledger import Records, Samples

NICENESS: Final = 19
MOST_BYTES: Final = 1_048_576
"""Larger bodies are neither captured nor copied."""
log = logging.getLogger(__name__)


def capturing(samples: Samples) -> Callable[[Sequence[Ticket]], None]:
    """Return what offers features and outputs of answered calls that are in the sample."""
    wanted = samples.wanted

    def capture(tickets: Sequence[Ticket]) -> None:
        for ticket in [ticket for ticket in tickets if wanted(ticket.identity)]:
            if len(ticket.call.body) <= MOST_BYTES and (made := _capture(ticket)) is not None:
                samples.offer(made)

    return capture


def _capture(ticket: Ticket) -> Capture | None:
    call, chosen, share = ticket.call, ticket.chosen, ticket.share
    if chosen is None or share is None:
        return None
    model = chosen.model
    # Copies: what a run shares would be kept whole for one request's part of it.
    features = {tensor.name: np.array(share.given(tensor.name)) for tensor in model.inputs}
    outputs = {tensor.name: np.array(share.array(place)) for place, tensor in enumerate(model.outputs)}
    return Capture(
        ticket.identity,
        time.time() - (time.perf_counter() - call.began),
        call.endpoint,
        model.name,
        model.version,
        chosen.variant.name,
        features,
        outputs,
    )


class GenericShadows:
    """Runs copies of calls by a candidate, one at a time in a thread that stands back behind all others.

    Args:
        endpoints: The generic endpoints by name.
        records: Who keeps rows.
        metrics: What is counted.
    """

    def __init__(self, endpoints: Endpoints, records: Records, metrics: Metrics) -> None:
        self._endpoints = endpoints
        self._records = records
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="shadow", initializer=_stand_back)
        self._is_busy = False

    def offer(self, tickets: Sequence[Ticket]) -> None:
        """Have copies of answered calls done, as many as there is time for: one at a time."""
        shadows = {}
        for name in {ticket.call.endpoint for ticket in tickets}:
            endpoint = self._endpoints.get(name)
            if endpoint is not None and (chosen := endpoint.shadow()) is not None:
                shadows[name] = chosen
        if shadows:
            for ticket in tickets:
                if (chosen := shadows.get(ticket.call.endpoint)) is not None:
                    self._offer(ticket, chosen)

    def _offer(self, ticket: Ticket, chosen: Chosen[GenericModel]) -> None:
        call = ticket.call
        if self._is_busy or len(call.body) > MOST_BYTES:
            self._metrics.shadows.labels(call.endpoint, "skipped").inc()
            return
        self._is_busy = True
        answered = [np.array(each) for each in _outputs(ticket)]
        copy = Ticket(msgspec.structs.replace(call), new_identity(), ticket.subject, chosen)
        asyncio.get_running_loop().run_in_executor(self._executor, self._run, copy, answered, gaps(ticket))

    async def close(self) -> None:
        """Wait for the copy that runs."""
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)

    def _run(self, copy: Ticket, answered: list[Array], missing: Gaps) -> None:
        # It is told how long the copy takes, not how long ago the request was.
        copy.call.began = time.perf_counter()
        try:
            if copy.chosen is not None:
                copy.asked = read(copy.call, copy.chosen.model)
                run_batch([copy])
                if is_worse(gaps(copy), missing):
                    copy.error = ModelError("values of the answer are not finite")
        except BadInput as error:
            copy.error = error
        except Exception as error:
            # Whatever it was, it is the candidate's, and a row says so.
            log.exception("a shadow failed", extra={"endpoint": copy.call.endpoint})
            copy.error = error
        finally:
            self._is_busy = False
        outcome = OK if copy.error is None else FAILED
        agrees = {"agrees": float(_agree(answered, _outputs(copy)))} if copy.error is None else {}
        counts = agrees | confidence(copy.share)
        status = 200 if copy.error is None else 500
        self._records.record(row_of(copy, outcome, status, this_moment(), counts, shadow=True))
        self._metrics.shadows.labels(copy.call.endpoint, "done" if copy.error is None else "failed").inc()


def _outputs(ticket: Ticket) -> list[Array]:
    share = ticket.share
    return [] if share is None else [share.array(place) for place in range(len(share.outputs.arrays))]


def _agree(one: list[Array], other: list[Array]) -> bool:
    """Say whether two answers have the same whole numbers: labels are compared, scores are not."""
    if len(one) != len(other):
        return False
    pairs = [(first, second) for first, second in zip(one, other, strict=True) if first.dtype.kind in "biu"]
    return all(np.array_equal(first, second) for first, second in pairs)


def _stand_back() -> None:
    """Give this thread the lowest priority, where threads have one of their own."""
    if hasattr(os, "setpriority"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
