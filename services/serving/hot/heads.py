"""Which requests are answered at the protocol, by their heads; everything unusual is left to FastAPI."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from mlops.settings import ServerSettings
from services.asgi.guard import host_name
from services.asgi.middleware import SANE
from services.serving.generic.calls import BINARY, HEADER_LENGTH, JSON, Kind
from services.serving.generic.routes import ENDPOINT_PATH, PREDICT_PATH
from services.serving.generic.v2 import INFER_PATH
from services.serving.subject import SUBJECT_HEADER, VARIANT_HEADER

PATHS: Final = re.compile(rb"/v1/endpoints/([A-Za-z0-9._-]{1,200})/predict|/v2/models/([A-Za-z0-9._-]{1,200})/infer")
REMEMBERED: Final = 1024
"""Paths and hosts that are remembered."""
READ: Final = {
    name.lower().encode()
    for name in (
        "host",
        "content-length",
        "content-type",
        "x-request-id",
        "cookie",
        SUBJECT_HEADER,
        VARIANT_HEADER,
        HEADER_LENGTH,
        "connection",
    )
}
UNUSUAL: Final = {
    b"transfer-encoding",
    b"content-encoding",
    b"expect",
    b"upgrade",
    b"origin",
    b"sec-fetch-site",
    b"access-control-request-method",
}
"""Headers of requests that FastAPI answers: bodies in pieces, other protocols, and pages of whatever site."""
TYPES: Final = {JSON.encode(), BINARY.encode(), b""}

Pairs = Sequence[tuple[bytes, bytes]]


class Target(NamedTuple):
    """What a path asks for: how, of which endpoint, and the route's template for metrics."""

    kind: Kind
    endpoint: str
    route: str


class Head(msgspec.Struct, frozen=True, gc=False):
    """What is known of a hot request before its body.

    Attributes:
        target: What it asks for.
        length: Bytes of its body.
        forwarded: What proxies say of the client; None where they say nothing.
        request_id: Its id as given; empty where none was, or no sane one.
        header_length: As in `services.serving.generic.calls.Call`, and so the rest.
        subject: Whom it names.
        session: Its cookies.
        variant: The variant that it picks.
    """

    target: Target
    length: int
    forwarded: str | None
    request_id: str
    header_length: str | None
    subject: str | None
    session: str | None
    variant: str | None


class Heads:
    """Reads heads.

    Args:
        server: Which hosts are ours, and whose word on clients is believed.
        default: The endpoint of ``/predict``.
        most_bytes: Largest body of a hot request.
    """

    def __init__(self, server: ServerSettings, default: str, most_bytes: int) -> None:
        hosts = frozenset(host.lower().strip("[]") for host in server.allowed_hosts)
        self._most_bytes = most_bytes
        self._target: Callable[[bytes], Target | None] = lru_cache(REMEMBERED)(
            lambda url: Target("predict", default, PREDICT_PATH) if url == PREDICT_PATH.encode() else _target(url)
        )
        self._is_ours: Callable[[bytes], bool] = lru_cache(REMEMBERED)(
            lambda host: "*" in hosts or host_name(host.decode("latin-1")) in hosts
        )
        self._trusted = None
        if server.trusted_proxies:
            self._trusted = ProxyHeadersMiddleware(_nothing, list(server.trusted_proxies)).trusted_hosts

    def target(self, url: bytes) -> Target | None:
        """Return what a path asks for, if that is something hot."""
        return self._target(url) if len(url) < 512 else None

    def read(self, target: Target, headers: Pairs) -> Head | None:
        """Return what a head says; None where there is anything unusual about it."""
        given: dict[bytes, bytes] = {}
        forwarded: list[bytes] = []
        for name, value in headers:
            if name in READ:
                if name in given:
                    return None
                given[name] = value
            elif name in UNUSUAL:
                return None
            elif name == b"x-forwarded-for":
                forwarded.append(value)
        length = given.get(b"content-length", b"")
        if not length.isdigit() or not 0 < int(length) <= self._most_bytes:
            return None
        if not self._is_ours(given.get(b"host", b"")) or not _is_plain(given):
            return None
        asked = given.get(b"x-request-id", b"").decode("latin-1")
        return Head(
            target,
            int(length),
            b", ".join(forwarded).decode("latin-1") if forwarded else None,
            asked if SANE.fullmatch(asked) else "",
            _text(given, HEADER_LENGTH) if target.kind == "infer" else None,
            _text(given, SUBJECT_HEADER),
            _text(given, "cookie"),
            _text(given, VARIANT_HEADER),
        )

    def client(self, peer: str, forwarded: str) -> str:
        """Return the client's address as uvicorn's own middleware tells it to FastAPI."""
        if self._trusted is None or peer not in self._trusted:
            return peer
        return self._trusted.get_trusted_client_address(forwarded)[0] or peer


def _target(url: bytes) -> Target | None:
    found = PATHS.fullmatch(url)
    if found is None:
        return None
    if found[1] is not None:
        return Target("predict", found[1].decode(), ENDPOINT_PATH)
    return Target("infer", found[2].decode(), INFER_PATH)


def _is_plain(given: dict[bytes, bytes]) -> bool:
    """Say whether connection and content type are the usual ones."""
    if given.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return False
    return given.get(b"content-type", b"").split(b";")[0].strip().lower() in TYPES


def _text(given: dict[bytes, bytes], name: str) -> str | None:
    value = given.get(name.lower().encode())
    return None if value is None else value.decode("latin-1")


async def _nothing(*_: object) -> None:
    """Stand in for an app."""
