"""Running an app with uvicorn, as the settings say."""

import errno
import socket
from contextlib import suppress
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from mlops.settings import ServerSettings

WS_BYTES: Final = 8 << 20
"""Largest message of a WebSocket; the setting ``live.frame_bytes`` lies below it."""


def server_config(app: FastAPI, settings: ServerSettings) -> uvicorn.Config:
    """Return uvicorn's configuration; log lines are ours, made by the app itself."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=app.state.http,
        ws="websockets-sansio",
        ws_max_size=WS_BYTES,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.graceful_seconds,
    )


def check_free(settings: ServerSettings) -> None:
    """Look whether the address can be listened on, all that its name stands for.

    Raises:
        SystemExit: It cannot, and why.
    """
    host, port = settings.host, settings.port
    try:
        places = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in places:
            try:
                _try(family, address)
            except OSError as error:
                # `localhost` has an address that this machine lacks where it speaks one of the two protocols alone.
                if len(places) == 1 or error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
    except OSError as error:
        raise SystemExit(f"{host}:{port} cannot be used ({error.strerror}): set MASKER_SERVER__PORT") from None


def _try(family: int, address: tuple[Any, ...]) -> None:
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)


def run(app: FastAPI, settings: ServerSettings) -> None:
    """Serve until a signal says stop; running requests get ``graceful_seconds`` to end.

    Raises:
        SystemExit: The address is taken, or the app could not start.
    """
    check_free(settings)
    server = uvicorn.Server(server_config(app, settings))
    # uvicorn raises the signal again once all is closed; Ctrl-C is no error.
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise SystemExit(1)
