"""The model that serves: one reference, swapped in one step; a request keeps the one it began with."""

import logging
from typing import Generic, Protocol, TypeVar

from prometheus_client import Gauge

from mlops.metrics import Metrics
from services.asgi.errors import NotReady
from services.asgi.health import Readiness

log = logging.getLogger(__name__)


class Model(Protocol):
    """What is told of any model that serves."""

    @property
    def name(self) -> str:
        """Name of the registered model."""

    @property
    def version(self) -> str:
        """Its version."""

    @property
    def precision(self) -> str:
        """Which of its graphs is used."""

    @property
    def bundle(self) -> str:
        """Digest of its files."""


M = TypeVar("M", bound=Model)


class ModelPool(Generic[M]):
    """Holds the model that new requests get.

    Args:
        metrics: What is counted.
        ready: Set to 1 when there is a model; none where the service can be ready without one.
        what: What kind of model it is, for whoever is told that there is none.
    """

    def __init__(self, metrics: Metrics, ready: Gauge | None = None, what: str = "model") -> None:
        self._model: M | None = None
        self._metrics = metrics
        self._ready = ready
        self._what = what

    def serving(self) -> M | None:
        """Return the model, if there is one."""
        return self._model

    def current(self) -> M:
        """Return the model, for a request that needs it.

        Raises:
            NotReady: none was loaded yet.
        """
        if self._model is None:
            self._metrics.shed.labels("not_ready").inc()
            raise NotReady(f"no {self._what} is loaded yet; it serves as soon as one is registered")
        return self._model

    def swap(self, model: M) -> None:
        """Give new requests this model from now on."""
        before, self._model = self._model, model
        if before is not None:
            self._metrics.model_info.remove(before.name, before.version, before.precision)
        self._metrics.model_info.labels(model.name, model.version, model.precision).set(1)
        if self._ready is not None:
            self._ready.set(1)
        log.info("model serves", extra={"model": model.name, "version": model.version, "precision": model.precision})

    def readiness(self) -> Readiness:
        """Say whether there is a model, and which."""
        model = self._model
        if model is None:
            return Readiness(ready=False)
        facts = {"model": model.name, "version": model.version, "precision": model.precision, "bundle": model.bundle}
        return Readiness(ready=True, facts=facts)
