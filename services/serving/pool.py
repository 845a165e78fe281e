"""The model that serves: one reference, swapped in one step; a request keeps the one it began with."""

import logging

from masking.face.loading import LoadedModel
from mlops.metrics import Metrics
from services.asgi.errors import NotReady
from services.asgi.health import Readiness

log = logging.getLogger(__name__)


class ModelPool:
    """Holds the model that new requests get."""

    def __init__(self, metrics: Metrics) -> None:
        self._model: LoadedModel | None = None
        self._metrics = metrics

    def current(self) -> LoadedModel:
        """Return the model.

        Raises:
            NotReady: none was loaded yet.
        """
        if self._model is None:
            self._metrics.shed.labels("not_ready").inc()
            raise NotReady("no model is loaded yet; it serves as soon as one is registered")
        return self._model

    def swap(self, model: LoadedModel) -> None:
        """Give new requests this model from now on."""
        self._model = model
        self._metrics.model_info.clear()
        self._metrics.model_info.labels(model.name, model.version, model.precision).set(1)
        self._metrics.ready.set(1)
        log.info("model serves", extra={"model": model.name, "version": model.version, "precision": model.precision})

    def readiness(self) -> Readiness:
        """Say whether there is a model, and which."""
        model = self._model
        if model is None:
            return Readiness(ready=False)
        facts = {"model": model.name, "version": model.version, "precision": model.precision, "bundle": model.bundle}
        return Readiness(ready=True, facts=facts)
