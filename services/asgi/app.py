"""The app factory: parts (serving, control, …) become one FastAPI app with one OpenAPI document."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from mlops.metrics import Metrics
from mlops.settings import Settings
from services.asgi.docs import add_docs
from services.asgi.guard import Guard
from services.asgi.health import Readiness, health_router
from services.asgi.middleware import Account, LastResort, RequestIds
from services.asgi.problems import TABLE, Problem, answer_with_problem

VERSION: Final = "1"
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
    """

    router: APIRouter
    lifespan: Callable[[], AbstractAsyncContextManager[None]]
    ready: Callable[[], Readiness]


class App(FastAPI):
    """FastAPI whose OpenAPI document also has the schema of problems, which every error answer refers to."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        document = super().openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("Problem", Problem.model_json_schema())
        return document


def create_app(settings: Settings, metrics: Metrics, parts: Sequence[Part], title: str) -> FastAPI:
    """Return the app made of ``parts``, with health, docs and the same behaviour around every request."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for part in parts:
                await stack.enter_async_context(part.lifespan())
            yield

    app = App(
        title=title,
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        # From the outside in: whatever happens inside, the answer has its id and is accounted for.
        middleware=[
            Middleware(RequestIds),
            Middleware(Account, metrics=metrics),
            Middleware(LastResort),
            Middleware(Guard, settings=settings.server),
        ],
        exception_handlers={
            kind: answer_with_problem
            for kind in (HTTPException, RequestValidationError, *TABLE)
            # Exception itself is left to `LastResort`: Starlette would answer it outside of all middleware.
            if kind is not Exception
        },
        redirect_slashes=False,
    )
    app.include_router(health_router(metrics, [part.ready for part in parts]))
    for part in parts:
        app.include_router(part.router)
    add_docs(app)
    return app
