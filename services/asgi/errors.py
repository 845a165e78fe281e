"""What can go wrong with a request before or beside masking; `services.asgi.problems` says what the caller is told.

    RequestError
    ├── BrokenBody          the body is not what its headers promise
    ├── SlowBody            the body did not arrive in time
    ├── UnknownParameter    a query parameter that does not exist, or twice
    ├── BadRange            the Range header cannot be read
    ├── NoSuchPart          the file ends before the part that is asked for
    ├── StrangeHost         addressed to a name that is not ours
    ├── ForeignOrigin       sent by another site's page in somebody's browser
    ├── UnknownVariant      no variant of that name answers
    ├── NoOverride          who asks may not pick a variant
    ├── UnknownEndpoint     no endpoint, or no version of it, of that name
    ├── StorageFull         the disk has no room for the upload
    ├── UnknownJob          no job of that name
    ├── NoResult            the job failed or was cancelled
    ├── ResultGone          the result was deleted, or its time is over
    └── Unavailable         not now; says when to come back
        ├── NotReady        no tested model yet
        ├── NotDone         the job waits or runs
        ├── JobsAway        the table of jobs does not answer
        ├── CacheAway       the shared cache does not answer
        ├── TooManyRequests one client sends more than it may
        └── Busy            others would have to wait too long

No text quotes what was sent.
"""


class RequestError(Exception):
    """Any failure of a request that is not masking's."""


class BrokenBody(RequestError):
    """The body is not what its headers promise."""


class SlowBody(RequestError):
    """The body did not arrive in time."""


class UnknownParameter(RequestError):
    """A query parameter that does not exist, or is given twice."""


class BadRange(RequestError):
    """The Range header cannot be read."""


class NoSuchPart(RequestError):
    """The file ends before the part that is asked for."""


class StrangeHost(RequestError):
    """The request is addressed to a name that is not ours."""


class ForeignOrigin(RequestError):
    """The request was sent by another site's page in somebody's browser."""


class UnknownVariant(RequestError):
    """No variant of the name that is asked for answers here now."""


class NoOverride(RequestError):
    """Who asks may not pick a variant."""


class UnknownEndpoint(RequestError):
    """There is no endpoint, or no version of it that answers, of that name."""


class StorageFull(RequestError):
    """The disk has no room for the upload."""


class UnknownJob(RequestError):
    """There is no job of that name, or none any more."""


class NoResult(RequestError):
    """The job has no result and will never have one: it failed or was cancelled."""


class ResultGone(RequestError):
    """The job's result was deleted, or its time is over."""


class Unavailable(RequestError):
    """The request cannot be served now.

    Attributes:
        retry_after_seconds: When it is worth another try.
    """

    def __init__(self, text: str, retry_after_seconds: int = 1) -> None:
        super().__init__(text)
        self.retry_after_seconds = retry_after_seconds


class NotReady(Unavailable):
    """There is no tested model yet."""


class Busy(Unavailable):
    """Taking the request would make it, or others, wait too long."""


class NotDone(Unavailable):
    """The job that is asked for its result waits or runs."""


class CacheAway(Unavailable):
    """The cache that replicas share does not answer, so what lies there cannot be purged."""


class JobsAway(Unavailable):
    """The table of jobs does not answer."""


class TooManyRequests(Unavailable):
    """One client sends more than it may."""
