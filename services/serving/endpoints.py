"""The models that serve an endpoint: one reference to all of them, swapped in one step.

A request chooses once and keeps what it chose, so no request ever sees half of a swap. A variant whose model is not
there, or was refused, has nobody: the champion answers in its place.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from prometheus_client import Gauge

from mlops.metrics import Metrics
from mlops.rollout.router import choose
from mlops.rollout.traffic import Split, Variant
from services.asgi.errors import NotReady, UnknownVariant
from services.asgi.health import Readiness

FACES: Final = "faces"
VOICES: Final = "voices"
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


@dataclass(frozen=True, slots=True)
class Chosen(Generic[M]):
    """What answers a request.

    Attributes:
        model: The model.
        variant: The variant that it stands for, whose policy lies over the endpoint's defaults.
        split: The split that was in force.
    """

    model: M
    variant: Variant
    split: Split

    @property
    def is_champion(self) -> bool:
        """Whether there is nothing to fall back to."""
        return self.variant is self.split.champion


@dataclass(frozen=True, slots=True)
class _Serving(Generic[M]):
    """A split and the variants of it that can answer, the champion among them."""

    split: Split
    champion: Chosen[M]
    answering: Mapping[str, Chosen[M]]
    shadow: Chosen[M] | None


class Endpoint(Generic[M]):
    """Holds the models that new requests get.

    Args:
        name: What clients and rows of predictions call it, such as ``faces``.
        metrics: What is counted.
        replica: Name of this replica, for splits that go by replica.
        ready: Set to 1 when there is a champion; none where the service can be ready without one.
        what: What kind of model it is, for whoever is told that there is none.
    """

    def __init__(
        self, name: str, metrics: Metrics, replica: str = "", ready: Gauge | None = None, what: str = "model"
    ) -> None:
        self.name = name
        self._replica = replica
        self._serving: _Serving[M] | None = None
        self._metrics = metrics
        self._ready = ready
        self._what = what

    def choose(self, subject: str, override: str | None = None) -> Chosen[M]:
        """Return what answers a subject.

        Args:
            subject: Whoever is to get the same variant each time; any text.
            override: Name of the variant to take whoever asks; whether he may is not asked here.

        Raises:
            NotReady: There is no champion yet.
            UnknownVariant: No variant of that name answers here now.
        """
        serving = self._need()
        if override is not None:
            chosen = serving.answering.get(override)
            if chosen is None:
                raise UnknownVariant(f"the variants of {self.name} are: {', '.join(serving.answering)}")
            return chosen
        if len(serving.answering) == 1:
            return serving.champion
        return serving.answering.get(choose(serving.split, subject, self._replica).name, serving.champion)

    def shadow(self) -> Chosen[M] | None:
        """Return the variant that gets copies of requests and never answers, if there is one."""
        serving = self._serving
        return None if serving is None else serving.shadow

    def champion(self) -> Chosen[M]:
        """Return what everything falls back to.

        Raises:
            NotReady: There is no champion yet.
        """
        return self._need().champion

    def current(self) -> M:
        """Return the champion's model; raises NotReady."""
        return self._need().champion.model

    def serving(self) -> M | None:
        """Return the champion's model, if there is one."""
        return None if self._serving is None else self._serving.champion.model

    def answers(self, chosen: Chosen[M]) -> bool:
        """Say whether what was chosen earlier would still answer somebody: it may have been rolled back meanwhile."""
        serving = self._serving
        if serving is None:
            return False
        now = serving.answering.get(chosen.variant.name)
        return now is not None and now.model is chosen.model

    def swap(self, split: Split, models: Mapping[str, M]) -> None:
        """Give new requests this split from now on.

        Args:
            split: The split.
            models: Models by the name of the variant; the champion's must be there, others may be missing.
        """
        before, self._serving = self._serving, _composed(split, models)
        self._tell(before, self._serving)

    def share(self, split: Split, variant: Variant) -> float:
        """Return the share of its requests that a variant is to have here: in a rolling release all or none."""
        if split.rolling is None:
            return variant.weight
        return float(choose(split, "", self._replica) is variant)

    def readiness(self) -> Readiness:
        """Say whether there is a champion, which, and which versions stand beside it."""
        serving = self._serving
        if serving is None:
            return Readiness(ready=False)
        model = serving.champion.model
        facts = {"model": model.name, "version": model.version, "precision": model.precision, "bundle": model.bundle}
        beside = [chosen for chosen in (*serving.answering.values(), serving.shadow) if chosen is not None]
        told = {f"{each.variant.name}_version": each.model.version for each in beside if each is not serving.champion}
        return Readiness(ready=True, facts=facts | told)

    def _need(self) -> _Serving[M]:
        if self._serving is None:
            self._metrics.shed.labels("not_ready").inc()
            raise NotReady(f"no {self._what} is loaded yet; it serves as soon as one is registered")
        return self._serving

    def _tell(self, before: _Serving[M] | None, now: _Serving[M]) -> None:
        gone = {} if before is None else _told(before)
        here = _told(now)
        for key in gone.keys() - here.keys():
            self._metrics.model_info.remove(*key)
        for key in here:
            self._metrics.model_info.labels(*key).set(1)
        for variant in () if before is None else before.split.variants:
            self._metrics.variant_weight.remove(self.name, variant.name, variant.version)
        told = {}
        for variant in now.split.variants:
            share = self.share(now.split, variant)
            self._metrics.variant_weight.labels(self.name, variant.name, variant.version).set(share)
            told[variant.name] = f"{variant.version} ({share:g})"
        if self._ready is not None:
            self._ready.set(1)
        facts = {"endpoint": self.name, "model": now.split.model, "release": now.split.release}
        log.info("models serve", extra=facts | told)


def _composed(split: Split, models: Mapping[str, M]) -> _Serving[M]:
    chosen = {
        variant.name: Chosen(models[variant.name], variant, split)
        for variant in split.variants
        if variant.name in models
    }
    shadow = next((chosen[each.name] for each in split.variants if each.shadow and each.name in chosen), None)
    answering = {name: each for name, each in chosen.items() if not each.variant.shadow}
    return _Serving(split, answering[split.champion.name], answering, shadow)


def _told(serving: _Serving[M]) -> dict[tuple[str, str, str], None]:
    """Return the labels of all models that are used, each once."""
    used = [*serving.answering.values(), *([serving.shadow] if serving.shadow else [])]
    return dict.fromkeys((each.model.name, each.model.version, each.model.precision) for each in used)
