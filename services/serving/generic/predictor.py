"""From bytes to bytes: what a call to a generic endpoint goes through, whichever way it came in.

`begin` chooses who answers and reads the body, `run` has the models compute, all calls that share a model in one run
where its calibration says that this pays, and `end` writes the answer and leaves a row. None of them waits, and none of
them raises: what goes wrong is an answer, too.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from masking.errors import MaskingError, ModelError
from mlops.generic.loading import GenericModel
from mlops.generic.tensors import BadInput
from mlops.metrics import Children, Metrics
from mlops.predictions.row import FAILED, OK, new_identity
from services.asgi.errors import NoOverride, RequestError, UnknownEndpoint
from services.serving.endpoints import Chosen, Endpoint
from services.serving.generic.answers import inference, predictions
from services.serving.generic.bodies import read
from services.serving.generic.calls import BINARY, HEADER_LENGTH, JSON, Call, Headers, Reply
from services.serving.generic.confidence import confidence
from services.serving.generic.faults import fault
from services.serving.generic.gaps import gaps, is_worse
from services.serving.generic.runs import run_all
from services.serving.generic.tickets import Ticket, outcome_of_call, row_of, this_moment
from services.serving.ledger import Records, blames
from services.serving.subject import Overrides, subject_of

QUICK_SECONDS: Final = 0.0005
"""A request that costs less runs where it arrived: handing it to a thread would cost more than that gives."""
KEPT_HEADERS: Final = 256
_OUTCOME: Final = ("chosen", "asked", "share", "error", "stages", "failed", "explained")
log = logging.getLogger(__name__)

Endpoints = Mapping[str, Endpoint[GenericModel]]


class Around(msgspec.Struct, frozen=True):
    """What stands around every prediction; each may be left out.

    Attributes:
        overrides: Who may pick a variant.
        records: Takes the rows.
        capture: Takes what went in and out of answered calls.
        shadow: Takes answered calls, for a version that nobody hears.
    """

    overrides: Overrides
    records: Records | None = None
    capture: Callable[[Sequence[Ticket]], None] | None = None
    shadow: Callable[[Sequence[Ticket]], None] | None = None


class Predictor:
    """Answers calls.

    Args:
        endpoints: The generic endpoints by name; may change.
        around: What stands around every prediction.
        metrics: What is counted.
    """

    def __init__(self, endpoints: Endpoints, around: Around, metrics: Metrics) -> None:
        self.endpoints = endpoints
        self._around = around
        self._counted = Children(metrics.predictions)
        self._headers: dict[tuple[str, str, str, str], Headers] = {}

    def begin(self, call: Call) -> Ticket:
        """Choose who answers a call, and read its body; the ticket has what went wrong."""
        ticket = _ticket(call)
        try:
            endpoint = self.endpoints.get(call.endpoint)
            if endpoint is None:
                raise UnknownEndpoint("GET /v1/endpoints lists those that there are")
            subject = ticket.subject = subject_of(call.subject, call.session, call.request_id)
            usual = call.variant is None and call.version is None
            ticket.chosen = endpoint.choose(subject) if usual else self._picked(endpoint, call, subject)
            ticket.asked = read(call, ticket.chosen.model)
        except (RequestError, MaskingError, BadInput) as error:
            ticket.error = error
        except Exception as error:
            log.exception("a request to a generic endpoint cannot be read")
            ticket.error = error
        return ticket

    def is_quick(self, ticket: Ticket) -> bool:
        """Say whether it is worth no thread."""
        if ticket.error is not None or ticket.chosen is None or ticket.asked is None:
            # The champion may explain what a candidate cannot read.
            return not ticket.explains or ticket.chosen is None
        return not ticket.explains and ticket.chosen.model.cost.seconds(ticket.asked.rows) < QUICK_SECONDS

    def run(self, tickets: Sequence[Ticket]) -> None:
        """Have the models compute for all tickets that have no error yet; may be called in a thread."""
        run_all(tickets)
        for ticket in tickets:
            if ticket.error is None:
                self._fill(ticket)
            elif blames(ticket.error, ticket.chosen):
                self._rescue(ticket, ticket.error)

    def stand_in(self, ticket: Ticket, blamed: Exception) -> Ticket | None:
        """Return the ticket by which the champion may answer in a candidate's place; None where there is no candidate.

        Args:
            ticket: The candidate's.
            blamed: What the candidate failed at.

        Returns:
            A ticket of the same name that was not run, with the candidate's failure; it has what went wrong.
        """
        call, endpoint = ticket.call, self.endpoints.get(ticket.call.endpoint)
        if endpoint is None or ticket.chosen is None or ticket.chosen.is_champion:
            return None
        failed = Ticket(call, new_identity(), ticket.subject, ticket.chosen, ticket.asked, None, blamed)
        other = Ticket(call, ticket.identity, ticket.subject, failed=failed, explains=ticket.explains)
        try:
            other.chosen = endpoint.champion()
            other.asked = read(call, other.chosen.model)
        except (RequestError, BadInput) as error:
            other.error = error
        except Exception as error:
            log.exception("a request to a generic endpoint cannot be read")
            other.error = error
        return other

    def refuse(self, call: Call, error: Exception) -> Reply:
        """Return the answer to a call that came to nothing before its body was there."""
        ticket = _ticket(call)
        ticket.error = error
        return self.end(ticket)

    def end(self, ticket: Ticket) -> Reply:
        """Return the answer, and leave a row of it."""
        return self.end_all([ticket])[0]

    def end_all(self, tickets: Sequence[Ticket]) -> list[Reply]:
        """Return the answers, and leave a row of each."""
        replies = [self._reply(ticket) for ticket in tickets]
        for accounting in (self._record, self._copy):
            try:
                accounting(tickets, replies)
            except Exception:
                # Whoever asked gets his answer, and so does everybody who asked at the same time.
                log.exception("answers of a generic endpoint cannot be accounted for")
        return replies

    def _record(self, tickets: Sequence[Ticket], replies: Sequence[Reply]) -> None:
        """Count the answers, and leave a row of each."""
        moment, records = this_moment(), self._around.records
        counts: Counter[tuple[str, str]] = Counter()
        for ticket, reply in zip(tickets, replies, strict=True):
            error = ticket.error
            if ticket.chosen is None and ticket.call.endpoint not in self.endpoints:
                continue
            outcome = OK if error is None else outcome_of_call(error)
            counts[ticket.call.endpoint, outcome] += 1
            if records is not None:
                released = ticket.chosen is not None and ticket.chosen.split.release
                measured = confidence(ticket.share) if released else None
                records.record(row_of(ticket, outcome, reply.status, moment, measured))
                if ticket.failed is not None:
                    # Of the very time of the answer: an experiment pairs the two.
                    records.record(row_of(ticket.failed, FAILED, 500, moment))
        for labels, count in counts.items():
            self._counted[labels].inc(count)

    def _copy(self, tickets: Sequence[Ticket], _: Sequence[Reply]) -> None:
        """Have answered calls captured and shadowed."""
        answered = [ticket for ticket in tickets if ticket.error is None]
        for copying in (self._around.capture, self._around.shadow):
            if copying is not None:
                copying(answered)

    def _rescue(self, ticket: Ticket, blamed: Exception) -> None:
        """Have the champion answer what a candidate failed at; that failure is a row of its own.

        What the champion takes is no bad input, whatever the candidate says. What it refuses, too, is: that stands, as
        does what a version refuses that the call names.
        """
        is_bad = isinstance(blamed, BadInput)
        if is_bad and ticket.call.version is not None:
            return
        other = self.stand_in(ticket, blamed)
        if other is None:
            return
        run_all([other])
        if not (is_bad and isinstance(other.error, BadInput)):
            _give(ticket, other)

    def _fill(self, ticket: Ticket) -> None:
        """Have the champion answer where a candidate tells no number and the champion does: a failure as any other."""
        missing = {} if ticket.chosen is None or ticket.chosen.is_champion else gaps(ticket)
        if not missing:
            return
        other = self.stand_in(ticket, ModelError("values of the answer are not finite"))
        if other is None:
            return
        run_all([other])
        if other.error is None and is_worse(missing, gaps(other)):
            log.error(
                "values of a candidate are not finite; the champion answers", extra={"endpoint": ticket.call.endpoint}
            )
            _give(ticket, other)

    def _picked(self, endpoint: Endpoint[GenericModel], call: Call, subject: str) -> Chosen[GenericModel]:
        """Return the variant that a call names, or the version."""
        champion = endpoint.champion()
        if call.variant is None and call.version == champion.model.version:
            return champion
        if not self._around.overrides.allows(call.client):
            raise NoOverride("the setting serving.override_networks names who may")
        if call.variant is not None:
            return endpoint.choose(subject, call.variant)
        for variant in champion.split.variants:
            if variant.version == call.version and not variant.shadow:
                return endpoint.choose(subject, variant.name)
        raise UnknownEndpoint("no such version answers here")

    def _reply(self, ticket: Ticket) -> Reply:
        if ticket.error is None:
            try:
                return self._written(ticket)
            except Exception as error:
                log.exception("an answer of a generic endpoint cannot be written")
                ticket.error = error
        return self._failed(ticket)

    def _written(self, ticket: Ticket) -> Reply:
        call, chosen, share, asked = ticket.call, ticket.chosen, ticket.share, ticket.asked
        if chosen is None or share is None or asked is None:
            raise RuntimeError("a ticket without an error that was not run")
        version, variant = chosen.model.version, chosen.variant.name
        if ticket.explained is not None:
            body, length = msgspec.json.encode(ticket.explained), None
        elif call.kind == "predict":
            body, length = predictions(share, variant, ticket.identity), None
        else:
            body, length = inference(share, asked, call.endpoint)
        if length is None:
            return Reply(200, self._named(call.endpoint, version, variant, JSON), body, ticket.identity)
        headers = self._named(call.endpoint, version, variant, BINARY)
        return Reply(200, headers, body, ticket.identity, ((HEADER_LENGTH, str(length)),))

    def _failed(self, ticket: Ticket) -> Reply:
        call, chosen, error = ticket.call, ticket.chosen, ticket.error
        if error is None:
            raise RuntimeError("a ticket without an error")
        told = fault(error, call.kind, call.request_id)
        version, variant = (chosen.model.version, chosen.variant.name) if chosen is not None else ("", "")
        endpoint = call.endpoint if call.endpoint in self.endpoints else ""
        headers = self._named(endpoint, version, variant, told.media_type)
        return Reply(told.status, headers, told.body, ticket.identity, told.headers)

    def _named(self, endpoint: str, version: str, variant: str, kind: str) -> Headers:
        """Return the headers that name what answered, the same object for the same facts."""
        key = endpoint, version, variant, kind
        headers = self._headers.get(key)
        if headers is None:
            if len(self._headers) >= KEPT_HEADERS:
                self._headers.clear()
            facts = ("X-Endpoint", endpoint), ("X-Model-Version", version), ("X-Variant", variant)
            named = tuple((name, value) for name, value in facts if value)
            headers = (("Content-Type", kind), ("Cache-Control", "no-store"), *named)
            self._headers[key] = headers
        return headers


def _give(ticket: Ticket, other: Ticket) -> None:
    """Make what another ticket came to what this one did."""
    for name in _OUTCOME:
        setattr(ticket, name, getattr(other, name))


def _ticket(call: Call) -> Ticket:
    identity = new_identity()
    if not call.request_id:
        call.request_id = identity
    return Ticket(call, identity)
