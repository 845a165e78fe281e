"""What is done for each kind of job."""

import threading
from collections.abc import Mapping
from typing import Any, Final

from masking.errors import ModelError
from masking.face.loading import LoadedModel, load_model
from masking.policy import VideoPolicy
from masking.selection import Selection
from masking.video import mask_video
from mlops.registry.bundle import BundleError, current, pointer_stamp
from mlops.settings import RegistrySettings, Settings
from services.asgi.limits import video_limits
from services.worker.runner import Outcome, Task, Work

MASK_VIDEO: Final = "mask-video"


class Champion:
    """The model that masks, as it lies in the folder of bundles; loaded again when another becomes champion."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        self._loading = threading.Lock()
        self._loaded: tuple[str, LoadedModel] | None = None

    def model(self) -> LoadedModel:
        """Return the champion.

        Raises:
            ModelError: There is none, or it does not pass its tests.
        """
        root, name = self._settings.bundles_path, self._settings.model
        with self._loading:
            stamp = pointer_stamp(root, name)
            if self._loaded is None or self._loaded[0] != stamp:
                try:
                    bundle = current(root, name)
                except BundleError as error:
                    raise ModelError("the champion's bundle is damaged") from error
                if bundle is None or stamp is None:
                    raise ModelError("there is no champion yet")
                self._loaded = stamp, load_model(bundle)
            return self._loaded[1]


def kinds(settings: Settings) -> Mapping[str, Work]:
    """Return the work of every kind of job."""
    champion = Champion(settings.registry)
    limits = video_limits(settings.limits)

    def masked_video(task: Task) -> Outcome:
        model = champion.model()
        policy = policy_of(task.options)
        report = mask_video(
            task.source, task.target, policy, model.detector, limits, task.observer, maskers=model.maskers
        )
        return Outcome(report.by(model).as_dict(), report.kind, report.needs_review)

    return {MASK_VIDEO: masked_video}


def policy_of(options: Mapping[str, Any]) -> VideoPolicy:
    """Return the policy whose facts a job keeps as its options.

    Raises:
        PolicyError: A value is out of range.
    """
    listed = options["selection"]
    selection = Selection.from_json(listed) if listed else Selection()
    return VideoPolicy(**{**options, "selection": selection})
