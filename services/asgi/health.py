"""``/livez``: the process runs. ``/readyz``: it can serve. ``/metrics``: what Prometheus scrapes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.responses import PlainTextResponse, Response

from mlops.metrics import Metrics
from services.asgi.errors import NotReady, StrangeHost
from services.asgi.problems import responses


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a part can serve, and what it serves with."""

    ready: bool
    facts: Mapping[str, str] = field(default_factory=dict)


class Alive(BaseModel):
    """The process runs."""

    alive: bool = True


class Ready(BaseModel):
    """Every part can serve. Parts add their facts, such as the model's name, version and precision."""

    model_config = ConfigDict(extra="allow")

    ready: bool = True


def health_router(metrics: Metrics, checks: Sequence[Callable[[], Readiness]]) -> APIRouter:
    """Return the routes, ready when all ``checks`` are."""
    router = APIRouter(tags=["health"], responses=responses(StrangeHost))

    @router.get("/livez")
    async def livez() -> Alive:
        """Say that the process runs."""
        return Alive()

    @router.get("/readyz", responses=responses(NotReady))
    async def readyz() -> Ready:
        """Say whether requests can be served, and with which model."""
        states = [check() for check in checks]
        if not all(state.ready for state in states):
            raise NotReady("try again shortly")
        facts = {name: fact for state in states for name, fact in state.facts.items()}
        return Ready.model_validate(facts)

    @router.get(
        "/metrics",
        response_class=PlainTextResponse,
        responses={200: {"description": "Metrics in Prometheus' text format."}},
    )
    async def exposition() -> Response:
        """Give all metrics in Prometheus' text format."""
        return Response(metrics.exposition(), media_type=metrics.content_type)

    return router
