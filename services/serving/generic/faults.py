"""What is told of an error: a problem (RFC 9457), or the error object of the Open Inference Protocol."""

from typing import Final, NamedTuple

import msgspec

from mlops.generic.tensors import BadInput
from mlops.logging import request_id
from services.asgi.problems import MEDIA_TYPE, problem, told
from services.serving.generic.calls import JSON, Headers, Kind

OWN: Final = frozenset({"content-length", "content-type", "cache-control"})
"""Headers that every answer gets anyway."""


class Fault(NamedTuple):
    """An error as an answer."""

    status: int
    media_type: str
    body: bytes
    headers: Headers


def fault(error: Exception, kind: Kind, identity: str) -> Fault:
    """Return the answer to an error of a request with this id."""
    token = request_id.set(identity)
    try:
        answer = problem(error)
    finally:
        request_id.reset(token)
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in answer.raw_headers
        if name.decode("latin-1") not in OWN
    )
    if kind == "predict":
        return Fault(answer.status_code, MEDIA_TYPE, bytes(answer.body), headers)
    facts = told(error)
    text = ": ".join(fact for fact in (facts["title"], facts["detail"]) if fact)
    # The protocol says 400 of a request that makes no sense, where problems say 422.
    status = 400 if isinstance(error, BadInput) else answer.status_code
    return Fault(status, JSON, msgspec.json.encode({"error": text}), headers)
