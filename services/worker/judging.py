"""The round that looks at captured masked output a second time: does a face show where none was masked?

The original is not there, so what is judged is what the champion's detector finds outside of all masks. What lies under
masks is none of its business.
"""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
from prometheus_client import CollectorRegistry, Counter

from masking.errors import MediaError, ModelError
from masking.evaluation.shows import uncovered
from masking.face.detectors import Detector
from masking.face.loading import load_model
from masking.face.maskers import FIGURATIVE
from masking.face.search import search
from masking.media.image import decode, views
from masking.media.probe import ImageLimits, probe
from mlops.metrics import Metrics
from mlops.predictions.capture_file import MASKED, Capture, Unreadable, read_captures
from mlops.predictions.captures import seals
from mlops.predictions.looked import mark, unlooked
from mlops.predictions.recorder import database_of
from mlops.predictions.store import Judgement, PredictionStore
from mlops.redis import Seal
from mlops.settings import Settings
from services.worker.champion import Champion
from services.worker.keeping import patiently
from services.worker.rounds import Round

EVERY_SECONDS: Final = 2.0
SCORE: Final = 0.5
"""Score from which what lies open is called a face; twice and more what is masked from, since a mask can make shapes
that look a little like one."""
WHO: Final = "judged"
NICENESS: Final = 19
log = logging.getLogger(__name__)


def judging_round(settings: Settings, metrics: Metrics) -> Round:
    """Return the round."""
    database = database_of(settings.predictions)
    registry = settings.registry
    champion = Champion(registry.bundles_path, registry.model, load_model)
    limits = settings.limits
    pictures = ImageLimits(limits.image_bytes, limits.image_pixels, limits.image_side)
    judge = CaptureJudge(
        settings.capture.path,
        PredictionStore(database),
        lambda: champion.model().detector,
        pictures,
        lambda: seals(settings.capture, settings.cache.read_secret())[MASKED],
        metrics.registry,
    )

    def look() -> None:
        _stand_back()
        judge.look()

    return Round("judge-captures", EVERY_SECONDS, patiently(look), database.close)


class CaptureJudge:
    """Looks at captures that nobody has looked at yet.

    Args:
        folder: Where captures are.
        store: Where judgements go.
        detector: Gives what finds faces; raises ModelError where there is no model yet.
        limits: Largest picture.
        seal: Gives what captures are sealed with.
        collectors: Where its metrics are registered.
    """

    def __init__(
        self,
        folder: Path,
        store: PredictionStore,
        detector: Callable[[], Detector],
        limits: ImageLimits,
        seal: Callable[[], Seal],
        collectors: CollectorRegistry,
    ) -> None:
        self._folder = folder
        self._store = store
        self._detector = detector
        self._limits = limits
        self._seal = seal
        self._faces = Counter(
            "masker_judged_faces_total",
            "Faces in captures that were judged: covered by a mask, or open.",
            ["endpoint", "variant", "found"],
            registry=collectors,
        )

    def look(self) -> None:
        """Look at every file of captures once.

        Raises:
            DatabaseAway: Judgements cannot be kept.
            OSError: The folder cannot be read.
        """
        fresh = unlooked(self._folder, WHO)
        if not fresh:
            return
        try:
            detector = self._detector()
        except ModelError as error:
            log.warning("captures wait for a model that judges them", extra={"reason": error})
            return
        for place in fresh:
            self._look_at(place, detector)
            mark(self._folder, WHO, [place])

    def _look_at(self, place: Path, detector: Detector) -> None:
        try:
            captures = read_captures(place, self._seal())
        except (Unreadable, FileNotFoundError) as error:
            log.warning("captures cannot be read", extra={"reason": repr(error)})
            return
        found = [each for capture in captures if (each := self._judged(capture, detector)) is not None]
        self._store.judge(found)
        for each in found:
            self._faces.labels(each.endpoint, each.variant, "covered").inc(each.faces - each.open)
            self._faces.labels(each.endpoint, each.variant, "open").inc(each.open)

    def _judged(self, capture: Capture, detector: Detector) -> Judgement | None:
        masks = capture.features.get("boxes")
        if masks is None or not isinstance(capture.output, bytes) or capture.report.get("style") in FIGURATIVE:
            # No picture: a generic model may have an input of that name. Or a mask that is a face itself, which may
            # reach over the edges of what it covers.
            return None
        try:
            still = decode(capture.output, probe(capture.output, self._limits))
            found = search(views(still.pixels)[0], detector, SCORE, "fast")
        except (MediaError, ModelError) as error:
            log.warning("a capture was not judged", extra={"prediction": capture.identity, "reason": error})
            return None
        shows = len(uncovered(found, np.asarray(masks)))
        return Judgement(
            capture.time,
            capture.identity,
            capture.endpoint,
            capture.version,
            capture.variant,
            len(masks) + shows,
            shows,
        )


def _stand_back() -> None:
    """Give this thread the lowest priority, where threads have one of their own: whoever asks goes first."""
    if hasattr(os, "setpriority"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
