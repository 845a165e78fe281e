"""The app factory: parts (serving, control, …) become one FastAPI app with one OpenAPI document."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from mlops.metrics import Metrics
from mlops.settings import Settings
from services.asgi.cors import cors
from services.asgi.docs import add_docs
from services.asgi.errors import TooManyRequests
from services.asgi.guard import Guard
from services.asgi.health import Readiness, health_router
from services.asgi.middleware import UNCOUNTED, Around, Wait
from services.asgi.problems import TABLE, Problem, answer_with_problem, close_with_reason, responses
from services.asgi.protocol import BoundedProtocol
from services.asgi.rates import Rates

VERSION: Final = "1"
EVERYWHERE: Final = {str(status): told for status, told in responses(TooManyRequests).items()}
"""Answers that any route may give."""
DESCRIPTION: Final = (
    "Masks identities in media. Errors are problem details (RFC 9457) and never quote the input. "
    "Every answer has an `X-Request-Id`: the caller's own where it is up to 64 letters, digits, `.`, `_` or `-`."
)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a service that can be composed with others.

    Attributes:
        router: Its routes.
        lifespan: Entered before the first request, left after the last.
        ready: Says whether it can serve.
        http: Makes the class of uvicorn's connections, where it answers some requests itself, of what says how long a
            client must wait; one part of an app at most.
    """

    router: APIRouter
    lifespan: Callable[[], AbstractAsyncContextManager[None]]
    ready: Callable[[], Readiness]
    http: Callable[[Wait], type[asyncio.Protocol]] | None = None


class App(FastAPI):
    """FastAPI whose OpenAPI document also has the schema of problems, and the answer to who asks too often."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        document = super().openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("Problem", Problem.model_json_schema())
        for path, operations in document["paths"].items():
            for operation in operations.values():
                # The sentence that says what a route does, in place of the name of its function.
                operation["summary"] = operation.pop("description", operation["summary"])
                if path not in UNCOUNTED:
                    operation["responses"] |= EVERYWHERE
        return document


def create_app(settings: Settings, metrics: Metrics, parts: Sequence[Part], title: str) -> FastAPI:
    """Return the app made of ``parts``, with health, docs and the same behaviour around every request."""

    inside = 0

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        nonlocal inside
        async with AsyncExitStack() as stack:
            inside += 1
            try:
                # Tools start an app that runs already, within itself: its parts have one life all the same.
                if inside == 1:
                    stack.push_async_callback(rates.close)
                    stack.push_async_callback(media.close)
                    for part in parts:
                        await stack.enter_async_context(part.lifespan())
                yield
            finally:
                inside -= 1

    rates = Rates(settings.limits)
    media = Rates(settings.limits, most=settings.limits.client_media_requests, what="masker-media")
    app = App(
        title=title,
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        middleware=[
            # The outermost, so that every answer, whatever it is, can be read where it was asked for.
            *cors(settings.server.cors_origins),
            Middleware(
                Around,
                metrics=metrics,
                guard=Guard(settings.server),
                wait=rates.wait,
                wait_media=media.wait,
                lines=settings.logging.access_lines,
            ),
        ],
        exception_handlers={
            kind: answer_with_problem
            for kind in (HTTPException, RequestValidationError, *TABLE)
            # Exception itself is left to `Around`: Starlette would answer it outside of all middleware.
            if kind is not Exception
        },
        redirect_slashes=False,
    )
    app.exception_handler(WebSocketRequestValidationError)(close_with_reason)
    app.state.http = next((part.http(rates.wait) for part in parts if part.http is not None), BoundedProtocol)
    app.state.rates = rates
    app.include_router(health_router(metrics, [part.ready for part in parts]))
    for part in parts:
        app.include_router(part.router)
    add_docs(app)
    return app
