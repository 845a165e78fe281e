"""What can go wrong with a request before or beside masking; `services.asgi.problems` says what the caller is told.

    RequestError
    ├── BrokenBody          the body is not what its headers promise
    ├── SlowBody            the body did not arrive in time
    ├── UnknownParameter    a query parameter that does not exist, or twice
    ├── StrangeHost         addressed to a name that is not ours
    ├── ForeignOrigin       sent by another site's page in somebody's browser
    └── Unavailable         not now; says when to come back
        ├── NotReady        no tested model yet
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


class StrangeHost(RequestError):
    """The request is addressed to a name that is not ours."""


class ForeignOrigin(RequestError):
    """The request was sent by another site's page in somebody's browser."""


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
