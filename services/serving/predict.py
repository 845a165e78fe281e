"""Generic endpoints as a piece of serving: their routes, what follows their models, and the protocol that is fast."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter

from mlops.metrics import Metrics
from mlops.rollout.traffic import Split, Variant
from mlops.settings import Settings
from services.asgi.middleware import Wait
from services.serving.cores import cores
from services.serving.endpoints import Endpoint
from services.serving.generic.carrier import Carrier, Held, Limits
from services.serving.generic.copies import GenericShadows, capturing
from services.serving.generic.directory import Directory
from services.serving.generic.pool import Pool
from services.serving.generic.predictor import Around, Predictor
from services.serving.generic.routes import predict_router
from services.serving.generic.v2 import v2_router
from services.serving.hot.heads import Heads
from services.serving.hot.protocol import HotProtocol, protocol_of
from services.serving.hot.turn import Turn
from services.serving.ledger import Records, Samples
from services.serving.subject import Overrides

HOT_BYTES: Final = 65_536
"""Largest body that is collected at the protocol; larger ones are read by FastAPI, which counts what it holds."""


@dataclass(frozen=True, slots=True)
class Generic:
    """What serves generic endpoints.

    Attributes:
        router: Their routes.
        http: Makes what answers their hot routes, for uvicorn, of what says how long a client must wait.
        predictor: Answers calls without any HTTP.
    """

    router: APIRouter
    http: Callable[[Wait], type[HotProtocol]]
    predictor: Predictor
    _directory: Directory
    _pool: Pool
    _shadows: GenericShadows
    _turns: list[Turn]

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Load the models that there are, and follow them as long as it is open."""
        await self._directory.open()
        sweeps = [asyncio.create_task(turn.sweep(), name="sweep-connections") for turn in self._turns]
        try:
            yield
        finally:
            for sweep in sweeps:
                sweep.cancel()
            await asyncio.gather(*sweeps, return_exceptions=True)
            await self._directory.close()
            await self._pool.close()
            await self._shadows.close()


def generic_endpoints(
    settings: Settings,
    metrics: Metrics,
    overrides: Overrides,
    records: Records,
    samples: Samples,
    media: Iterable[Endpoint[Any]],
    holding: Callable[[], AbstractContextManager[Held]],
    replica: str,
    refused: Callable[[str, Split, Variant], None],
) -> Generic:
    """Return what serves the generic endpoints.

    Args:
        settings: The whole tree.
        metrics: What is counted.
        overrides: Who may pick a variant.
        records: Who keeps rows.
        samples: Who keeps captures.
        media: Endpoints that mask media, for the list of all.
        holding: Counts the bytes of a request while it lasts.
        replica: Name of this replica.
        refused: Told of an endpoint's name, a split, and the variant of it that cannot serve.
    """
    registry, serving = settings.registry, settings.serving
    every, retry = registry.traffic_seconds, serving.reload_retry_seconds
    directory = Directory(registry.bundles_path, metrics, replica, every, retry, refused)
    shadows = GenericShadows(directory, records, metrics)
    predictor = Predictor(directory, Around(overrides, records, capturing(samples), shadows.offer), metrics)
    pool = Pool(serving.threads or cores(), serving.predict_seconds)
    limits = Limits(serving.predict_bytes, serving.predict_json_bytes, settings.limits.upload_seconds)
    carrier = Carrier(predictor, pool, limits, holding)
    most = min(HOT_BYTES, serving.predict_bytes, serving.predict_json_bytes)
    heads = Heads(settings.server, serving.default_endpoint, most)
    turns: list[Turn] = []

    def http(wait: Wait) -> type[HotProtocol]:
        idle, lines = settings.server.keep_alive_seconds, settings.logging.access_lines
        turns.append(Turn(carrier, heads, metrics, wait, serving.predict_seconds, idle, lines))
        return protocol_of(turns[-1])

    router = APIRouter()
    router.include_router(predict_router(carrier, media, serving.default_endpoint))
    router.include_router(v2_router(carrier))
    return Generic(router, http, predictor, directory, pool, shadows, turns)
