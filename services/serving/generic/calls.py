"""What is asked of a generic endpoint and what it answers, without anything of HTTP but its words."""

from typing import Any, Final, Literal

import msgspec

Kind = Literal["predict", "infer"]
Headers = tuple[tuple[str, str], ...]
JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"
HEADER_LENGTH: Final = "Inference-Header-Content-Length"


class Call(msgspec.Struct, gc=False):
    """A request.

    Attributes:
        kind: ``predict`` for ``{"features": …}``, ``infer`` for the Open Inference Protocol.
        endpoint: Name of the endpoint.
        body: All of the body.
        began: When it began, by `time.perf_counter`.
        request_id: Its id; where it has none it gets that of the prediction.
        version: The version that it asks for, as the path has it.
        header_length: What `HEADER_LENGTH` says.
        subject: What ``X-Subject-Id`` says.
        session: Its cookies.
        variant: What ``X-Variant`` says.
        client: Address of the client.
    """

    kind: Kind
    endpoint: str
    body: bytes
    began: float
    request_id: str
    version: str | None = None
    header_length: str | None = None
    subject: str | None = None
    session: str | None = None
    variant: str | None = None
    client: str = ""


class Reply(msgspec.Struct, gc=False):
    """An answer.

    Attributes:
        status: HTTP status.
        headers: Headers that many answers share, name and value.
        body: All of the body.
        identity: Name of the prediction.
        extra: Headers of this answer alone.
    """

    status: int
    headers: Headers
    body: bytes
    identity: str
    extra: Headers = ()


class Asked(msgspec.Struct, gc=False):
    """What a body asks for.

    Attributes:
        inputs: Values by the name of the input: an array, or what is yet to become one: the bytes of flat rows, or
            nested lists.
        rows: How many rows that is; 1 where rows are not free.
        identity: What the client calls its request, in the Open Inference Protocol.
        outputs: The outputs that are wanted, by name, and whether as bytes; None for all, as JSON.
    """

    inputs: dict[str, Any]
    rows: int
    identity: str | None = None
    outputs: dict[str, bool] | None = None
