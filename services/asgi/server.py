"""Running an app with uvicorn, as the settings say."""

from contextlib import suppress
from typing import Final

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


def run(app: FastAPI, settings: ServerSettings) -> None:
    """Serve until a signal says stop; running requests get ``graceful_seconds`` to end.

    Raises:
        SystemExit: the app could not start.
    """
    server = uvicorn.Server(server_config(app, settings))
    # uvicorn raises the signal again once all is closed; Ctrl-C is no error.
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise SystemExit(1)
