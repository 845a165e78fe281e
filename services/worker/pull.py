"""Follow the alias `champion` of each model: what it names is brought, verified, into the folder of bundles.

Serving never talks to the registry. It sees the folder, and a registry that is down costs it nothing.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from mlops.registry.bundle import BundleError
from mlops.registry.mlflow import Registry, RegistryError
from mlops.settings import RegistrySettings

OUTCOMES: Final = ("refused", "failed", "pulled", "unchanged")
"""What can come of a look, the worst first."""
log: Final = logging.getLogger(__name__)


class Puller:
    """Pulls the champions of the models that mask faces and voices.

    Args:
        settings: Where the registry is, and where bundles go.
        collectors: Where the worker's metrics are registered.
    """

    def __init__(self, settings: RegistrySettings, collectors: CollectorRegistry) -> None:
        self._settings = settings
        self._registry = Registry(settings.tracking_uri)
        self._pulls = Counter(
            "masker_bundle_pulls_total",
            "Looks for a new champion, by what came of them.",
            ["outcome"],
            registry=collectors,
        )
        self._up = Gauge(
            "masker_registry_up", "Whether the registry answered the last time, 0 or 1.", registry=collectors
        )
        for outcome in OUTCOMES:
            self._pulls.labels(outcome)

    def pull(self) -> str:
        """Look once for each model; returns the worst that came of it.

        That is `refused` (not what was registered), `failed` (no answer), `pulled` or `unchanged`. One model that is
        refused keeps no other from being brought.
        """
        outcomes = [self._look(model) for model in (self._settings.model, self._settings.voice_model)]
        for outcome in outcomes:
            self._pulls.labels(outcome).inc()
        self._up.set("failed" not in outcomes)
        return min(outcomes, key=OUTCOMES.index)

    def _look(self, model: str) -> str:
        try:
            bundle = self._registry.pull(model, self._settings.bundles_path)
        except RegistryError as error:
            log.warning("the registry gave no champion", extra={"model": model, "reason": str(error)})
            return "failed"
        except (BundleError, OSError) as error:
            log.error("a champion was refused", extra={"model": model, "reason": str(error)})
            return "refused"
        if bundle is None:
            return "unchanged"
        log.info("champion pulled", extra={"model": model, "version": bundle.version})
        return "pulled"


@asynccontextmanager
async def following(pull: Callable[[], str], poll_seconds: float) -> AsyncIterator[None]:
    """Look for a new champion every ``poll_seconds``, in a thread, while the context is open."""

    async def follow() -> None:
        while True:
            await asyncio.to_thread(pull)
            await asyncio.sleep(poll_seconds)

    task = asyncio.create_task(follow(), name="follow-champion")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
