"""Rows of the accounts of requests, one for every way out, and captures of samples."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from starlette.requests import ClientDisconnect, HTTPConnection

from masking.errors import DeadlineExceeded, MediaError, PolicyError
from mlops.logging import request_id
from mlops.predictions.capture_file import Capture
from mlops.predictions.row import FAILED, PICKED, REFUSED, REJECTED, Prediction, new_identity
from mlops.rollout.traffic import Split, Variant
from services.asgi.errors import NoOverride, RequestError, Unavailable
from services.asgi.problems import NAMED, row_of
from services.serving.account import Account
from services.serving.endpoints import FACES, Chosen
from services.serving.subject import SUBJECT_HEADER, VARIANT_HEADER, Overrides, subject_of

LOAD_REFUSED: Final = "load_refused"
"""The count of a row that says that a version could not be loaded."""
JUDGED: Final = FACES
"""The endpoint whose captures are judged."""
CLIENT_GONE: Final = 499
SWITCHING: Final = 101
BLAMELESS: Final = (MediaError, RequestError, DeadlineExceeded, ClientDisconnect)
"""What says nothing against the model that it happened to."""
_SUBJECT, _VARIANT, _COOKIE = SUBJECT_HEADER.encode(), VARIANT_HEADER.encode(), b"cookie"
log = logging.getLogger(__name__)


class Records(Protocol):
    """Whoever keeps rows."""

    def record(self, row: Prediction) -> None:
        """Take a row; never waits, never raises."""


class Samples(Protocol):
    """Whoever keeps samples of masked output."""

    def wanted(self, identity: str) -> bool:
        """Say whether a prediction is in the sample; quick."""

    def wanted_of(self, identity: str, share: float) -> bool:
        """Say whether it is in a sample of another share, or in the usual one."""

    def wants_raw(self, endpoint: str) -> bool:
        """Say whether a person was granted the raw input of an endpoint."""

    def offer(self, capture: Capture, raw: bytes | None = None) -> None:
        """Take a capture; never waits, never raises."""


class Ledger:
    """Makes accounts of requests, rows of accounts, and captures of samples.

    Args:
        records: Who keeps the rows.
        samples: Who keeps the captures.
        overrides: Who may pick a variant.
        release_share: Share of a candidate's answers that are captured while a release runs, where they are judged.
    """

    def __init__(self, records: Records, samples: Samples, overrides: Overrides, release_share: float = 0.0) -> None:
        self._records = records
        self._samples = samples
        self._overrides = overrides
        self._release_share = release_share

    def begin(self, request: HTTPConnection) -> Account:
        """Begin the account of a request."""
        given = cookie = override = None
        for name, value in request.scope["headers"]:
            if name == _SUBJECT:
                given = value.decode("latin-1")
            elif name == _COOKIE:
                cookie = value.decode("latin-1")
            elif name == _VARIANT:
                override = value.decode("latin-1")
        identity = new_identity()
        nameless = request_id.get() or identity
        subject = subject_of(given, cookie, nameless)
        return Account(identity, time.time(), time.perf_counter(), subject, override, is_named=subject != nameless)

    def of(
        self, request: HTTPConnection, endpoint: str, outcome: Callable[[str], None], status: int = 200
    ) -> "Keeping":
        """Return a context that keeps the account of a request; a row is made of it whichever way that ends.

        Args:
            request: The request.
            endpoint: Name of the endpoint that is asked.
            outcome: Told of the outcome of an answer that is an error.
            status: HTTP status of an answer that is none.
        """
        return Keeping(self, request, endpoint, outcome, status)

    def check(self, account: Account, request: HTTPConnection) -> None:
        """Raise NoOverride if a request picks a variant and may not."""
        if account.override is not None and not self._overrides.allows(request.client and request.client.host):
            raise NoOverride("the setting serving.override_networks names who may")

    def keep(self, account: Account, endpoint: str, status: int, *, shadow: bool = False) -> None:
        """Make a row of an account.

        Who is not named has a subject in experiments alone, which count subjects; who picks a variant was not drawn,
        and says nothing to experiments and releases.
        """
        chosen, picks = account.chosen, account.override is not None
        split = None if chosen is None or picks else chosen.split
        experiment = "" if split is None else split.experiment
        self._records.record(
            Prediction(
                account.identity,
                account.began,
                endpoint,
                "" if chosen is None else chosen.model.name,
                "" if chosen is None else chosen.model.version,
                "" if chosen is None else chosen.variant.name,
                "" if split is None else split.release,
                experiment,
                account.subject if experiment or account.is_named else "",
                account.outcome,
                status,
                time.perf_counter() - account.start if account.seconds is None else account.seconds,
                account.stages,
                {**account.counts, PICKED: 1.0} if picks else account.counts,
                account.cache,
                shadow,
            )
        )

    def failed(self, account: Account, endpoint: str, error: Exception) -> None:
        """Make a row of what a candidate failed at, whose request the champion will answer."""
        chosen = account.chosen
        if chosen is None:
            return
        facts = {"endpoint": endpoint, "variant": chosen.variant.name, "version": chosen.model.version}
        log.error("a candidate failed; the champion answers", extra=facts, exc_info=error)
        failed = Account(
            new_identity(),
            account.began,
            account.start,
            account.subject,
            account.override,
            chosen,
            FAILED,
            is_named=account.is_named,
        )
        self.keep(failed, endpoint, row_of(error).status)

    def capture(
        self,
        account: Account,
        endpoint: str,
        output: bytes,
        media_type: str,
        report: Mapping[str, Any],
        features: Mapping[str, Any],
        raw: bytes | None = None,
    ) -> None:
        """Keep a sample of an answer that was made anew.

        Args:
            account: The request's account.
            endpoint: Name of the endpoint.
            output: The masked output.
            media_type: Its media type.
            report: What was done.
            features: What was found.
            raw: What came in; it is kept only where that was granted.
        """
        chosen = account.chosen
        if chosen is None:
            return
        share = 0.0 if account.override is not None else self._share(endpoint, chosen)
        if not self._samples.wanted_of(account.identity, share):
            return
        model, variant = chosen.model, chosen.variant.name
        self._samples.offer(
            Capture(
                account.identity,
                account.began,
                endpoint,
                model.name,
                model.version,
                variant,
                features,
                output,
                media_type,
                report,
            ),
            raw if raw is not None and self._samples.wants_raw(endpoint) else None,
        )

    def _share(self, endpoint: str, chosen: Chosen[Any]) -> float:
        """Return the share of a variant's answers that are captured for the sake of the release that runs."""
        split = chosen.split
        if not split.release or endpoint != JUDGED:
            return 0.0
        if not chosen.is_champion:
            return self._release_share
        # As many of the champion's as of the others together: what is compared is as sure as its smaller part.
        own = chosen.variant.weight
        return self._release_share * min(1.0, (1 - own) / own) if own > 0 else self._release_share

    def refused(self, endpoint: str, split: Split, variant: Variant) -> None:
        """Make a row of a version that could not be loaded."""
        self._records.record(
            Prediction(
                new_identity(),
                time.time(),
                endpoint,
                split.model,
                variant.version,
                variant.name,
                split.release,
                split.experiment,
                "",
                FAILED,
                0,
                0.0,
                {},
                {LOAD_REFUSED: 1.0},
                "",
                variant.shadow,
            )
        )


class Keeping:
    """The context of `Ledger.of`, and its arguments. Its beginning raises NoOverride."""

    __slots__ = ("_account", "_endpoint", "_ledger", "_outcome", "_request", "_status")

    def __init__(
        self, ledger: Ledger, request: HTTPConnection, endpoint: str, outcome: Callable[[str], None], status: int
    ) -> None:
        self._ledger = ledger
        self._request = request
        self._endpoint = endpoint
        self._outcome = outcome
        self._status = status
        self._account = ledger.begin(request)

    def __enter__(self) -> Account:
        """Give the account."""
        try:
            self._ledger.check(self._account, self._request)
        except NoOverride as error:
            self._end(error)
            raise
        return self._account

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Make a row of it; what was raised goes on."""
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        account = self._account
        if isinstance(error, Exception):
            account.outcome, self._status = outcome_of(error), row_of(error).status
            self._request.scope[NAMED] = account.headers(self._endpoint)
            self._outcome(account.outcome)
        elif error is not None:
            # The server stops, or nobody waits for the answer any more.
            account.outcome, self._status = REFUSED, CLIENT_GONE
        if account.is_told:
            self._ledger.keep(account, self._endpoint, self._status)


def untold(_: str) -> None:
    """Tell nobody of an outcome."""


def outcome_of(error: Exception) -> str:
    """Return what an error makes of a request: refused under load, rejected for its input, else failed."""
    if isinstance(error, Unavailable | DeadlineExceeded):
        return REFUSED
    if isinstance(error, MediaError | PolicyError | RequestError | ClientDisconnect):
        return REJECTED
    return FAILED


def blames(error: Exception, chosen: Chosen[Any] | None) -> bool:
    """Say whether the champion should have a try at what a candidate failed at."""
    return chosen is not None and not chosen.is_champion and not isinstance(error, BLAMELESS)
